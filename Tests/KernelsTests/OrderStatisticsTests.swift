import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Order statistics")
struct OrderStatisticsTests {
  /// In the order of the keys: NaN last, −0 before +0.
  static func sorted(_ values: [Float]) -> [Float] {
    let numbers = values.filter { !$0.isNaN }.sorted {
      $0.isTotallyOrdered(belowOrEqualTo: $1) && $0.bitPattern != $1.bitPattern
    }
    return numbers + values.filter(\.isNaN)
  }

  static func fills(_ count: Int, _ random: inout SplitMix64) -> [[Float]] {
    [
      difficultFloats(count, from: &random),
      (0..<count).map { _ in Float.random(in: -1...1, using: &random) },
      (0..<count).map { _ in Float.random(in: 0...1, using: &random) < 0.5 ? 0 : -0.0 },
      [Float](repeating: 3, count: count),
      (0..<count).map { $0 == 0 ? 1e30 : Float($0) * 1e-30 },
      (0..<count).map { _ in [Float.infinity, -.infinity, 1].randomElement(using: &random) ?? 0 },
      (0..<count).map { Float(count - $0) },
    ]
  }

  @Test("ranks of every fill", arguments: Processor.levels.map(\.name), [1, 2])
  func ranks(level: String, threads: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x51)
    for count in [1, 2, 31, 32, 33, 65, 700] {
      for values in Self.fills(count, &random) {
        let sorted = Self.sorted(values)
        var ranks: [Int] = []
        let found = OrderStatistics.values(of: values.rawSpan, threads: threads, on: level) {
          ranks = Array(0..<min($0, 512))
          return ranks
        }
        #expect(mismatch(found, ranks.map { sorted[$0] }, by: .sameBits) == nil, "\(count)")
      }
    }
    #expect(OrderStatistics.values(of: [Float]().rawSpan) { _ in [] }.isEmpty)
    #expect(OrderStatistics.values(of: [Float.nan].rawSpan) { Array(0..<$0) }.isEmpty)
  }

  @Test("quantiles of blocks are those of sorted blocks", arguments: Processor.levels.map(\.name))
  func blocks(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x52)
    for size in [1, 2, 7, 8, 9, 15, 16, 17, 100, 1000] {
      for values in Self.fills(size, &random) {
        let ranks = (0..<size).filter { $0 % 3 == 0 || $0 < 4 }
        let sorted = Self.sorted(values)
        // Fenced, so that reading behind the block shows.
        _ = fenced(bytes(of: values), count: 0) { bytes, _ in
          let found = BlockQuantiles.mean(of: bytes, size: size, ranks: ranks, on: level)
          let expected = ranks.map { sorted[$0] }
          #expect(
            mismatch(found.map { Float($0) }, expected.map { $0 == 0 ? 0 : $0 }, by: .sameBitsOrNaN)
              == nil, "\(size)")
        }
      }
    }
  }

  @Test("means do not depend on threads, and leave the rest out")
  func means() {
    var random = SplitMix64(seed: 0x53)
    let values = (0..<16 * 700 + 5).map { _ in Float.random(in: -1...1, using: &random) }
    let one = BlockQuantiles.mean(of: values.rawSpan, size: 16, ranks: [0, 7, 15], threads: 1)
    #expect(
      one == BlockQuantiles.mean(of: values.rawSpan, size: 16, ranks: [0, 7, 15], threads: 3))
    var sums = [0.0, 0, 0]
    for block in 0..<700 {
      let sorted = values[block * 16..<block * 16 + 16].sorted()
      for (place, rank) in [0, 7, 15].enumerated() { sums[place] += Double(sorted[rank]) }
    }
    for place in 0..<3 { #expect(abs(one[place] - sums[place] / 700) < 1e-12) }
  }
}
