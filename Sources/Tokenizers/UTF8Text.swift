/// Scalars of UTF-8 that is known to be valid.
enum UTF8Text {
  /// The scalar that begins at `index`, and its length in bytes. O(1).
  @inline(__always)
  static func scalar(_ text: [UInt8], _ index: Int) -> (value: UInt32, length: Int) {
    let first = text[index]
    if first < 0x80 { return (UInt32(first), 1) }
    let second = UInt32(text[index + 1] & 0x3F)
    if first < 0xE0 { return (UInt32(first & 0x1F) << 6 | second, 2) }
    let third = UInt32(text[index + 2] & 0x3F)
    if first < 0xF0 { return (UInt32(first & 0x0F) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(text[index + 3] & 0x3F)
    return (UInt32(first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
  }

  /// Where the scalar before `index` begins.
  static func start(before index: Int, in text: [UInt8]) -> Int {
    var start = index - 1
    while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
    return start
  }

  /// The bytes as valid UTF-8: each longest part of a sequence that is broken becomes U+FFFD, as
  /// Python's `errors="replace"` has it. O(n).
  static func repaired(_ bytes: [UInt8]) -> [UInt8] {
    Array(String(decoding: bytes, as: UTF8.self).utf8)
  }

  static func hasPrefix(_ text: [UInt8], _ range: Range<Int>, _ prefix: [UInt8]) -> Bool {
    guard range.count >= prefix.count else { return false }
    for offset in 0..<prefix.count where text[range.lowerBound + offset] != prefix[offset] {
      return false
    }
    return true
  }
}
