/// Which pairs of tokens become one, and which pair goes first.
///
/// Open addressing on pairs of ids, hashed with a seed of the process; finding is O(1).
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// Lower ranks merge first.
    var rank: UInt32
    /// The id of the union.
    var id: UInt32
  }

  private struct Slot: Sendable {
    var pair: UInt64
    var merge: Merge
  }

  private static let free = UInt64.max
  private static let processSeed = UInt64.random(in: .min ... .max) | 1
  private let seed = processSeed

  private var slots: [Slot]
  private let shift: UInt64

  init(capacity: Int) {
    var bits: UInt64 = 4
    while 1 << bits < capacity * 2 { bits += 1 }
    shift = 64 - bits
    let empty = Slot(pair: Self.free, merge: Merge(rank: .max, id: 0))
    slots = Array(repeating: empty, count: 1 << Int(bits))
  }

  subscript(left: UInt32, right: UInt32) -> Merge? {
    let slot = slots[slot(of: Self.pair(left, right))]
    return slot.pair == Self.free ? nil : slot.merge
  }

  /// A pair that comes again takes its later rank, as the peer's table does.
  mutating func add(_ left: UInt32, _ right: UInt32, _ merge: Merge) {
    let pair = Self.pair(left, right)
    slots[slot(of: pair)] = Slot(pair: pair, merge: merge)
  }

  /// Ids are below 2³¹, so no pair looks like a free slot.
  private static func pair(_ left: UInt32, _ right: UInt32) -> UInt64 {
    UInt64(left) << 32 | UInt64(right)
  }

  private func slot(of pair: UInt64) -> Int {
    let mask = slots.count - 1
    let mixed = (pair ^ pair >> 31) &* 0x9E37_79B9_7F4A_7C15 ^ seed
    var slot = Int((mixed &* seed) >> shift)
    while slots[slot].pair != Self.free, slots[slot].pair != pair { slot = (slot + 1) & mask }
    return slot
  }
}
