import TestKit
import Testing

@testable import Tokenizers

/// Both ways of merging beside the definition, on random tables.
@Suite struct MergerTests {
  @Test(arguments: [2, 3, 10, 24, 25, 26, 60, 300]) func definition(count: Int) {
    for seed in UInt64(0)..<30 {
      var random = SplitMix64(seed: seed)
      let (table, pairs) = Self.table(&random)
      let symbols = (0..<count).map { _ in UInt32(random.next() % 6) }
      var merged = symbols
      var merger = Merger()
      merger.merge(&merged, by: table)
      #expect(merged == Self.defined(symbols, pairs), "seed \(seed)")
    }
  }

  /// Merges of tokens below that number into new ones, as training makes them.
  private static func table(_ random: inout SplitMix64) -> (
    MergeTable, [[UInt32]: MergeTable.Merge]
  ) {
    var table = MergeTable(capacity: 40)
    var pairs: [[UInt32]: MergeTable.Merge] = [:]
    for rank in UInt32(0)..<40 {
      let left = UInt32(random.next() % UInt64(6 + rank))
      let right = UInt32(random.next() % UInt64(6 + rank))
      guard pairs[[left, right]] == nil else { continue }
      let merge = MergeTable.Merge(rank: rank, id: 6 + rank)
      table.add(left, right, merge)
      pairs[[left, right]] = merge
    }
    return (table, pairs)
  }

  /// Again and again the leftmost pair of the lowest rank.
  private static func defined(
    _ symbols: [UInt32], _ pairs: [[UInt32]: MergeTable.Merge]
  ) -> [UInt32] {
    var symbols = symbols
    while true {
      var best: (index: Int, merge: MergeTable.Merge)?
      for index in symbols.indices.dropLast() {
        guard let merge = pairs[[symbols[index], symbols[index + 1]]] else { continue }
        if best == nil || merge.rank < best!.merge.rank { best = (index, merge) }
      }
      guard let best else { return symbols }
      symbols.replaceSubrange(best.index...best.index + 1, with: [best.merge.id])
    }
  }
}
