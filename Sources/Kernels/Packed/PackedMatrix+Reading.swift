import CKernels
internal import Synchronization
internal import TensorCore

extension PackedMatrix {
  /// Reads all that a product reads, on as many threads and in tasks as large, and does nothing else with it:
  /// what products are measured against. The result is the sum of words of 64 bits.
  public func readThrough(threads: Int = Processor.cores) -> UInt64 {
    let sum = Atomic<UInt64>(0)
    let tasks = tiles.dividedRoundingUp(by: taskTiles)
    parallelFor(tasks, threads: threads) { task in
      let range = task * taskTiles..<min((task + 1) * taskTiles, tiles)
      let part =
        Self.sum(codes, range, size: tileByteCount)
        &+ Self.sum(scales.bytes, range, size: scales.tileByteCount)
        &+ Self.sum(offsets.bytes, range, size: offsets.tileByteCount)
      sum.wrappingAdd(part, ordering: .relaxed)
    }
    return sum.load(ordering: .relaxed)
  }

  private static func sum(_ bytes: borrowing AlignedBytes, _ tiles: Range<Int>, size: Int) -> UInt64
  {
    var sum: UInt64 = 0
    bytes.withBytes { all in
      // SAFETY: the tiles lie within the bytes.
      unsafe lend(all.part(tiles.lowerBound * size..<tiles.upperBound * size)) {
        sum = unsafe ck_read_words($0, $1)
      }
    }
    return sum
  }
}
