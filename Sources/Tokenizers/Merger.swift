/// Merges neighbours until no pair is in the table: always the pair of the lowest rank, of equal
/// ones the leftmost.
struct Merger {
  /// Up to so many symbols, looking through all pairs is faster than a heap.
  private static let scannedCount = 24

  private var heap = MergeHeap()
  private var next: [Int32] = []
  private var previous: [Int32] = []
  /// The ranks of neighbours while all are looked through.
  private var ranks: [UInt32] = []

  mutating func merge(_ symbols: inout [UInt32], by table: MergeTable) {
    if symbols.count < 2 { return }
    if symbols.count <= Self.scannedCount {
      scan(&symbols, by: table)
    } else {
      mergeByHeap(&symbols, by: table)
    }
  }

  /// O(n²) with a look-up only for new pairs.
  private mutating func scan(_ symbols: inout [UInt32], by table: MergeTable) {
    ranks.removeAll(keepingCapacity: true)
    for index in 1..<symbols.count {
      ranks.append(Self.rank(symbols[index - 1], symbols[index], table))
    }
    while let best = Self.lowest(ranks), let merge = table[symbols[best], symbols[best + 1]] {
      symbols[best] = merge.id
      symbols.remove(at: best + 1)
      ranks.remove(at: best)
      if best > 0 { ranks[best - 1] = Self.rank(symbols[best - 1], symbols[best], table) }
      if best < ranks.count {
        ranks[best] = Self.rank(symbols[best], symbols[best + 1], table)
      }
    }
  }

  private static func rank(_ left: UInt32, _ right: UInt32, _ table: MergeTable) -> UInt32 {
    table[left, right]?.rank ?? .max
  }

  /// The first of the lowest ranks; nil where no pair has one.
  private static func lowest(_ ranks: [UInt32]) -> Int? {
    var best = 0
    for index in ranks.indices where ranks[index] < ranks[best] { best = index }
    return ranks.isEmpty || ranks[best] == .max ? nil : best
  }

  // MARK: Long pieces

  /// O(n log n): the symbols are linked, and pairs that are gone are passed over.
  private mutating func mergeByHeap(_ symbols: inout [UInt32], by table: MergeTable) {
    link(symbols.count)
    heap.removeAll()
    for index in 1..<symbols.count {
      push(index - 1, symbols[index - 1], symbols[index], table)
    }
    while let (rank, left) = heap.pop() {
      let right = Int(next[left])
      // A symbol that was merged into its neighbour has no next one.
      guard right >= 0, let merge = table[symbols[left], symbols[right]], merge.rank == rank
      else { continue }
      symbols[left] = merge.id
      unlink(right, after: left)
      let before = Int(previous[left])
      if before >= 0 { push(before, symbols[before], symbols[left], table) }
      let after = Int(next[left])
      if after >= 0 { push(left, symbols[left], symbols[after], table) }
    }
    collect(&symbols)
  }

  private mutating func push(_ index: Int, _ left: UInt32, _ right: UInt32, _ table: MergeTable) {
    if let merge = table[left, right] { heap.push(rank: merge.rank, position: index) }
  }

  private mutating func link(_ count: Int) {
    next = (0..<Int32(count)).map { $0 + 1 }
    next[count - 1] = -1
    previous = (0..<Int32(count)).map { $0 - 1 }
  }

  private mutating func unlink(_ right: Int, after left: Int) {
    next[left] = next[right]
    if next[left] >= 0 { previous[Int(next[left])] = Int32(left) }
    next[right] = -1
  }

  /// Follows the links from the first symbol, which is never merged away.
  private func collect(_ symbols: inout [UInt32]) {
    var index = 0
    var count = 0
    while index >= 0 {
      symbols[count] = symbols[index]
      count += 1
      index = Int(next[index])
    }
    symbols.removeLast(symbols.count - count)
  }
}

/// A binary heap of pairs: the lowest rank first, of equal ones the leftmost.
private struct MergeHeap {
  /// The rank in the high half, the position in the low one.
  private var keys: [UInt64] = []

  mutating func removeAll() { keys.removeAll(keepingCapacity: true) }

  mutating func push(rank: UInt32, position: Int) {
    let key = UInt64(rank) << 32 | UInt64(position)
    var index = keys.count
    keys.append(key)
    while index > 0, keys[(index - 1) / 2] > key {
      keys[index] = keys[(index - 1) / 2]
      index = (index - 1) / 2
    }
    keys[index] = key
  }

  mutating func pop() -> (rank: UInt32, position: Int)? {
    guard let top = keys.first, let last = keys.popLast() else { return nil }
    if !keys.isEmpty { sink(last) }
    return (UInt32(top >> 32), Int(top & 0xFFFF_FFFF))
  }

  /// Puts a key in the place of the first one.
  private mutating func sink(_ key: UInt64) {
    var index = 0
    while true {
      var child = 2 * index + 1
      guard child < keys.count else { break }
      if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
      guard keys[child] < key else { break }
      keys[index] = keys[child]
      index = child
    }
    keys[index] = key
  }
}
