/// Strings: UTF-8, escapes, and what they decode to.
extension JSONValidator {
  /// Moves past the string that begins at `position`; its content lies between the quotes.
  mutating func string() throws -> (content: Range<Int>, escaped: Bool) {
    position += 1
    let start = position
    var escaped = false
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\""):
        position += 1
        return (start..<position - 1, escaped)
      case UInt8(ascii: "\\"):
        escaped = true
        try escape()
      case 0..<0x20:
        throw failure(
          .noRawControl, at: position, "a string holds a raw control character", found: found)
      case 0x80...: try multibyte()
      default: position += 1
      }
    }
    throw truncated()
  }

  /// What the validated content of a string stands for, as UTF-8.
  func decoded(_ content: Range<Int>) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(content.count)
    var index = content.lowerBound
    while index < content.upperBound {
      guard bytes[index] == UInt8(ascii: "\\") else {
        text.append(bytes[index])
        index += 1
        continue
      }
      if bytes[index + 1] == UInt8(ascii: "u") {
        index += appendScalar(at: index, to: &text)
      } else {
        text.append(Self.short(bytes[index + 1]) ?? bytes[index + 1])
        index += 2
      }
    }
    return text
  }

  /// Decodes the `\u` escape or the pair of them at `index`; returns its length.
  private func appendScalar(at index: Int, to text: inout [UInt8]) -> Int {
    let unit = UInt32(hex(at: index + 2) ?? 0)
    let isPair = UTF16.isLeadSurrogate(UInt16(unit))
    let low = isPair ? UInt32(hex(at: index + 8) ?? 0) : 0
    let code = isPair ? 0x10000 + (unit & 0x3FF) << 10 + (low & 0x3FF) : unit
    if let scalar = Unicode.Scalar(code) { text.append(contentsOf: UTF8.encode(scalar)!) }
    return isPair ? 12 : 6
  }

  private static func short(_ letter: UInt8) -> UInt8? {
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): letter
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: nil
    }
  }

  private mutating func escape() throws {
    guard position + 1 < bytes.count else { throw truncated() }
    let letter = bytes[position + 1]
    if letter == UInt8(ascii: "u") { return try unicodeEscape() }
    guard Self.short(letter) != nil else {
      throw failure(.escape, at: position, "a string holds an unknown escape")
    }
    position += 2
  }

  private mutating func unicodeEscape() throws {
    let unit = try unit(at: position)
    guard unit != 0 else {
      throw failure(.noEscapedNUL, at: position, "a string holds \\u0000")
    }
    if UTF16.isTrailSurrogate(unit) { throw lone() }
    if UTF16.isLeadSurrogate(unit) {
      for (offset, character) in "\\u".utf8.enumerated() {
        guard position + 6 + offset < bytes.count else { throw truncated() }
        guard bytes[position + 6 + offset] == character else { throw lone() }
      }
      guard UTF16.isTrailSurrogate(try self.unit(at: position + 6)) else { throw lone() }
      position += 6
    }
    position += 6
  }

  private func lone() -> Failure {
    failure(.surrogatePairs, at: position, "a string holds half of a surrogate pair")
  }

  /// The four digits of the `\u` escape at `index`.
  private func unit(at index: Int) throws -> UInt16 {
    if let unit = hex(at: index + 2) { return unit }
    let present = bytes[min(index + 2, bytes.count)..<min(index + 6, bytes.count)]
    if present.count < 4, present.allSatisfy({ $0.hexadecimal != nil }) { throw truncated() }
    throw failure(.escape, at: index, "\\u is not followed by four hexadecimal digits")
  }

  private func hex(at index: Int) -> UInt16? {
    guard index + 4 <= bytes.count else { return nil }
    var unit: UInt16 = 0
    for byte in bytes[index..<index + 4] {
      guard let digit = byte.hexadecimal else { return nil }
      unit = unit << 4 | UInt16(digit)
    }
    return unit
  }

  /// Moves past one scalar of two to four bytes (Unicode, table 3-7).
  private mutating func multibyte() throws {
    let (length, second) = Self.sequence(bytes[position])
    guard length > 0 else { throw invalid() }
    for offset in 1..<length {
      guard position + offset < bytes.count else { throw truncated() }
      let allowed = offset == 1 ? second : 0x80...0xBF
      guard allowed.contains(bytes[position + offset]) else { throw invalid() }
    }
    position += length
  }

  /// The bytes a sequence has after this lead byte and the range of the second; 0 for no lead.
  private static func sequence(_ lead: UInt8) -> (length: Int, second: ClosedRange<UInt8>) {
    switch lead {
    case 0xC2...0xDF: (2, 0x80...0xBF)
    case 0xE0: (3, 0xA0...0xBF)
    case 0xED: (3, 0x80...0x9F)
    case 0xE1...0xEF: (3, 0x80...0xBF)
    case 0xF0: (4, 0x90...0xBF)
    case 0xF1...0xF3: (4, 0x80...0xBF)
    case 0xF4: (4, 0x80...0x8F)
    default: (0, 0x80...0xBF)
    }
  }

  private func invalid() -> Failure {
    failure(.utf8, at: position, "a string is not UTF-8", found: found)
  }
}

extension UInt8 {
  fileprivate var hexadecimal: UInt8? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
