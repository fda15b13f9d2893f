/// Distinct byte strings, numbered in the order in which they came.
///
/// Open addressing over one array that holds all the bytes; the hash is seeded anew in each
/// process, so no file can be made whose strings collide. Finding and adding are O(length).
struct ByteTable: Sendable {
  private var bytes: [UInt8] = []
  /// Where each string ends in `bytes`.
  private var ends: [Int] = []
  /// The low half of each string's hash.
  private var hashes: [UInt32] = []
  /// Numbers of strings, −1 where free; a power of two, at most half full.
  private var slots: [Int32]

  private static let processSeed = UInt64.random(in: .min ... .max)
  private let seed = processSeed

  init(capacity: Int = 0) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = Array(repeating: -1, count: size)
    ends.reserveCapacity(capacity)
    hashes.reserveCapacity(capacity)
  }

  var count: Int { ends.count }

  subscript(number: Int) -> ArraySlice<UInt8> { bytes[start(of: number)..<ends[number]] }

  private func start(of number: Int) -> Int { number == 0 ? 0 : ends[number - 1] }

  /// The number of the string `text[range]`; nil where it was never added.
  func find(_ text: [UInt8], _ range: Range<Int>) -> Int? {
    let hash = hash(text, range)
    let number = slots[slot(of: hash, text, range)]
    return number < 0 ? nil : Int(number)
  }

  func find(_ text: [UInt8]) -> Int? { find(text, 0..<text.count) }

  /// The number of the string, and whether it was added now.
  @discardableResult
  mutating func add(_ text: [UInt8], _ range: Range<Int>) -> (number: Int, isNew: Bool) {
    if count * 2 >= slots.count { grow() }
    let hash = hash(text, range)
    let slot = slot(of: hash, text, range)
    if slots[slot] >= 0 { return (Int(slots[slot]), false) }
    slots[slot] = Int32(count)
    bytes.append(contentsOf: text[range])
    ends.append(bytes.count)
    hashes.append(UInt32(truncatingIfNeeded: hash))
    return (count - 1, true)
  }

  @discardableResult
  mutating func add(_ text: [UInt8]) -> (number: Int, isNew: Bool) { add(text, 0..<text.count) }

  /// The slot of the string, or the free one where it would go.
  private func slot(of hash: UInt64, _ text: [UInt8], _ range: Range<Int>) -> Int {
    let mask = slots.count - 1
    let short = UInt32(truncatingIfNeeded: hash)
    var slot = Int(truncatingIfNeeded: short) & mask
    while slots[slot] >= 0 {
      let number = Int(slots[slot])
      if hashes[number] == short, equals(number, text, range) { break }
      slot = (slot + 1) & mask
    }
    return slot
  }

  private func equals(_ number: Int, _ text: [UInt8], _ range: Range<Int>) -> Bool {
    let start = start(of: number)
    guard ends[number] - start == range.count else { return false }
    for offset in 0..<range.count where bytes[start + offset] != text[range.lowerBound + offset] {
      return false
    }
    return true
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: slots.count * 2)
    let mask = slots.count - 1
    for (number, hash) in hashes.enumerated() {
      var slot = Int(hash) & mask
      while slots[slot] >= 0 { slot = (slot + 1) & mask }
      slots[slot] = Int32(number)
    }
  }

  private func hash(_ text: [UInt8], _ range: Range<Int>) -> UInt64 {
    var hash = seed ^ UInt64(range.count)
    for index in range {
      hash = (hash ^ UInt64(text[index])) &* 0x9E37_79B9_7F4A_7C15
      hash ^= hash >> 29
    }
    return hash ^ hash >> 32
  }
}
