/// Blanks, literals and numbers, and the words for what does not belong.
extension JSONValidator {
  /// Longer numbers have no meaning in a config and would cost the parser time.
  private static let maxNumberBytes = 1024

  var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func skipBlanks() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  mutating func literal(_ word: StaticString) throws {
    let start = position
    for character in word.description.utf8 {
      guard let byte = next else { throw truncated() }
      guard byte == character else {
        throw failure(.literal, at: start, "unknown literal", expected: "\(word)")
      }
      position += 1
    }
  }

  mutating func number() throws {
    let start = position
    let isNegative = take("-")
    let digits = position
    try requireDigits()
    if bytes[digits] == UInt8(ascii: "0"), position > digits + 1 {
      throw failure(.numberSpelling, at: start, "a number begins with a needless zero")
    }
    var isInteger = true
    if take(".") {
      isInteger = false
      try requireDigits()
    }
    let hasExponent = take("e") || take("E")
    if hasExponent {
      if !take("+") { _ = take("-") }
      try requireDigits()
    }
    try requireNumberEnd(from: start)
    if isInteger && !hasExponent {
      try checkInteger(start: start, digits: digits..<position, isNegative: isNegative)
    } else if hasExponent || position - digits > 300 {
      try checkReal(start..<position)
    }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func requireDigits() throws {
    let start = position
    while let byte = next, byte.isDigit { position += 1 }
    guard position == start else { return }
    guard let byte = next else { throw truncated() }
    // `-Infinity` and `-NaN` are literals that other readers know.
    if bytes[start - 1] == UInt8(ascii: "-"), "IN".utf8.contains(byte) {
      throw failure(.literal, at: start - 1, "a number is not finite")
    }
    throw failure(
      .numberSpelling, at: position, "a number is misspelled", expected: "a digit", found: found)
  }

  private func requireNumberEnd(from start: Int) throws {
    switch next {
    case UInt8(ascii: ".")?, UInt8(ascii: "+")?, UInt8(ascii: "-")?, UInt8(ascii: "_")?,
      (UInt8(ascii: "a")...UInt8(ascii: "z"))?, (UInt8(ascii: "A")...UInt8(ascii: "Z"))?:
      throw failure(
        .numberSpelling, at: position, "a number is misspelled", expected: "its end", found: found)
    default: break
    }
    guard position - start <= Self.maxNumberBytes else {
      throw failure(
        .numberLength, at: start, "a number is too long",
        expected: "at most \(Self.maxNumberBytes) bytes", found: "\(position - start)")
    }
  }

  private func checkInteger(start: Int, digits: Range<Int>, isNegative: Bool) throws {
    // Eighteen digits always fit.
    guard digits.count > 18 else { return }
    var magnitude: UInt64? = 0
    for byte in bytes[digits] {
      magnitude = magnitude?.multiplied(by: 10)?.adding(UInt64(byte - UInt8(ascii: "0")))
    }
    let limit = isNegative ? Int64.min.magnitude : UInt64.max
    guard let magnitude, magnitude <= limit else {
      throw failure(
        .numberRange, at: start, "an integer is out of range",
        expected: "\(Int64.min) to \(UInt64.max)")
    }
  }

  private func checkReal(_ range: Range<Int>) throws {
    let value = Double(String(decoding: bytes[range], as: UTF8.self))
    guard let value, value.isFinite else {
      throw failure(.numberRange, at: range.lowerBound, "a number is out of range of a double")
    }
  }
}

extension JSONValidator {
  func failure(
    _ rule: JSONRule, at offset: Int, _ what: String, expected: String? = nil, found: String? = nil
  ) -> Failure {
    .json(rule, at: place, byte: offset, what, expected: expected, found: found)
  }

  func truncated() -> Failure {
    failure(.complete, at: bytes.count, "the text ends inside of the value")
  }

  /// The refusal of the byte at `position`, under the rule that names what it begins.
  func unexpected(_ expected: String) -> Failure {
    switch next {
    case nil: truncated()
    case UInt8(ascii: "/")?, UInt8(ascii: "#")?:
      failure(.noComments, at: position, "comments are not JSON", expected: expected)
    case UInt8(ascii: "'")?:
      failure(.doubleQuotes, at: position, "single quotes are not JSON", expected: expected)
    default:
      failure(
        .structure, at: position, "the text is not JSON", expected: expected, found: found)
    }
  }

  func unexpectedValue(orEnd: Bool) -> Failure {
    switch next {
    case UInt8(ascii: "+")?, UInt8(ascii: ".")?:
      failure(
        .numberSpelling, at: position, "a number is misspelled", expected: "a digit or '-'",
        found: found)
    case (UInt8(ascii: "a")...UInt8(ascii: "z"))?, (UInt8(ascii: "A")...UInt8(ascii: "Z"))?:
      failure(
        .literal, at: position, "unknown literal", expected: "true, false or null", found: found)
    default: unexpected(orEnd ? "a value or ']'" : "a value")
    }
  }

  func trailing() -> Failure {
    if next == 0 {
      return failure(
        .nothingAfter, at: position, "NUL bytes stand after the value",
        expected: "padding with spaces")
    }
    return failure(
      .nothingAfter, at: position, "something stands after the value", expected: "the end",
      found: found)
  }

  /// The byte at `position` in words.
  var found: String {
    guard let byte = next else { return "the end" }
    if 0x20..<0x7F ~= byte { return "'\(Character(Unicode.Scalar(byte)))'" }
    return "byte 0x" + String(byte, radix: 16, uppercase: true)
  }
}

extension Failure {
  static func json(
    _ rule: JSONRule, at place: String, byte: Int, _ what: String, expected: String? = nil,
    found: String? = nil
  ) -> Failure {
    let place = place.isEmpty ? "byte \(byte)" : "\(place), byte \(byte)"
    return Failure(
      .malformed, at: place, what, expected: expected, found: found, rule: rule.name)
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self }
}
