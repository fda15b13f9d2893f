import Kernels
import Synchronization
import TensorCore
import Testing

@Suite("Work on several threads")
struct ParallelForTests {
  private struct Refusal: Error, Equatable {
    let index: Int
  }

  @Test("every index runs once", arguments: [0, 1, 2, 7, 1000], [1, 2, 3, 16])
  func everyIndex(count: Int, threads: Int) {
    let runs = Mutex([Int](repeating: 0, count: count))
    parallelFor(count, threads: threads) { index in runs.withLock { $0[index] += 1 } }
    #expect(runs.withLock { $0 } == [Int](repeating: 1, count: count))
  }

  @Test("the error of the lowest index is thrown", arguments: [1, 2, 3, 8])
  func lowestError(threads: Int) {
    for _ in 0..<50 {
      #expect(throws: Refusal(index: 11)) {
        try parallelFor(200, threads: threads) { index throws(Refusal) in
          if index % 10 == 1 && index > 10 { throw Refusal(index: index) }
        }
      }
    }
  }

  @Test("an error stops what has not begun")
  func stops() {
    let runs = Atomic(0)
    #expect(throws: Refusal(index: 0)) {
      try parallelFor(1000, threads: 1) { index throws(Refusal) in
        runs.add(1, ordering: .relaxed)
        throw Refusal(index: index)
      }
    }
    #expect(runs.load(ordering: .relaxed) == 1)
  }

  @Test("parts cover the bytes and do not overlap", arguments: [0, 1, 9, 10, 11, 99, 100])
  func parts(count: Int) {
    var bytes = AlignedBytes(count: count)
    var span = bytes.mutableBytes
    parallelFor(partsOf: &span, size: 10, threads: 3) { index, part in
      #expect(part.byteCount == min(10, count - index * 10))
      for offset in 0..<part.byteCount {
        part.set(part.bytes.uint8(at: offset) + UInt8(index + 1), at: offset)
      }
    }
    #expect(bytes.bytes.array == (0..<count).map { UInt8($0 / 10 + 1) })
  }

  /// Threads that were lent before, that fell asleep, and that lend others themselves.
  @Test("threads are lent again and again, and within each other")
  func lentAgain() {
    let sum = Atomic(0)
    for round in 0..<2000 {
      parallelFor(round % 5, threads: 3) { _ in sum.add(1, ordering: .relaxed) }
      if round % 100 == 0 {
        parallelFor(3, threads: 2) { _ in
          parallelFor(4, threads: 3) { _ in sum.add(1, ordering: .relaxed) }
        }
        for _ in 0..<200 { giveWay() }
      }
    }
    #expect(sum.load(ordering: .relaxed) == 2000 / 5 * 10 + 20 * 12)
  }

  @Test("a borrowed span may be read on every thread")
  func borrowedSpan() {
    let bytes = [UInt8](repeating: 3, count: 1000)
    let span = bytes.rawSpan
    let sum = Atomic(0)
    parallelFor(10, threads: 4) { index in
      let extremes = Bytes.extremes(span.part(index * 100..<index * 100 + 100))
      sum.add(Int(extremes?.upperBound ?? 0), ordering: .relaxed)
    }
    #expect(sum.load(ordering: .relaxed) == 30)
  }
}
