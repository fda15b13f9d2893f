@_spi(_Unicode) private import Swift
internal import TensorCore

/// One step that changes a text before it is cut.
enum Normalizer: Sendable {
  case prepend([UInt8])
  case replace(SplitPattern, by: [UInt8])
  case composed
  case decomposed
  /// Normal forms KC and KD.
  case compatiblyComposed
  case compatiblyDecomposed
  case lowercase
  case stripAccents
  case strip(left: Bool, right: Bool)

  /// The text after this step; `text` and the answer are valid UTF-8. O(n).
  func normalized(_ text: [UInt8]) throws -> [UInt8] {
    switch self {
    case .prepend(let prefix): text.isEmpty ? text : prefix + text
    case .replace(let pattern, let new): try Self.replaced(text, pattern, by: new)
    case .composed: Self.composed(text)
    case .decomposed: Self.isASCII(text) ? text : Self.encoded(Self.decoded(text)._nfd)
    case .compatiblyComposed: Self.encoded(CompatibilityMappings.mapped(Self.decoded(text))._nfc)
    case .compatiblyDecomposed:
      Self.encoded(CompatibilityMappings.mapped(Self.decoded(text))._nfd)
    case .lowercase:
      Array(
        Self.decoded(text).unicodeScalars.map { $0.properties.lowercaseMapping }.joined().utf8)
    case .stripAccents:
      Self.encoded(
        Self.decoded(text).unicodeScalars.filter { !Self.isMark($0) })
    case .strip(let left, let right): Self.stripped(text, left: left, right: right)
    }
  }

  private static func replaced(
    _ text: [UInt8], _ pattern: SplitPattern, by new: [UInt8]
  ) throws -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count + text.count / 4)
    var done = 0
    try pattern.matches(in: text, 0..<text.count) { match in
      result.append(contentsOf: text[done..<match.lowerBound])
      result.append(contentsOf: new)
      done = match.upperBound
      guard result.count <= Tokenizer.mostTextBytes else {
        throw Failure.tokenizer(
          .textLength, .unsupported, at: "normalizer", "a replacement makes the text too long",
          expected: "at most \(Tokenizer.mostTextBytes) bytes", found: "more")
      }
    }
    result.append(contentsOf: text[done...])
    return result
  }

  private static func stripped(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
    var start = 0
    var end = text.count
    while left, start < end {
      let scalar = UTF8Text.scalar(text, start)
      guard ScalarClass(of: scalar.value).contains(.whitespace) else { break }
      start += scalar.length
    }
    while right, start < end {
      let last = UTF8Text.start(before: end, in: text)
      guard ScalarClass(of: UTF8Text.scalar(text, last).value).contains(.whitespace) else { break }
      end = last
    }
    return Array(text[start..<end])
  }

  /// Whether StripAccents leaves a scalar out: a mark of Unicode 9, which the peer's table is of.
  /// U+1CF2 and U+1CF3 have become letters since, and U+111C9 a mark.
  static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    guard let age = scalar.properties.age, age.major <= 9 else { return false }
    if scalar.value == 0x1CF2 || scalar.value == 0x1CF3 { return true }
    if scalar.value == 0x111C9 { return false }
    return !ScalarClass(scalar.properties.generalCategory).isDisjoint(with: .mark)
  }

  private static func decoded(_ text: [UInt8]) -> String { String(decoding: text, as: UTF8.self) }

  private static func encoded(_ scalars: some Sequence<Unicode.Scalar>) -> [UInt8] {
    var text: [UInt8] = []
    for scalar in scalars { text.append(contentsOf: scalar.utf8) }
    return text
  }

  private static func isASCII(_ text: [UInt8]) -> Bool { text.allSatisfy { $0 < 0x80 } }

  /// Normal form C. Scalars below U+0300 compose with nothing before them, so only the others, with
  /// the scalar before, go through the library.
  private static func composed(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var done = 0
    while let high = text[done...].firstIndex(where: { $0 >= highLead }) {
      let start = high > done ? UTF8Text.start(before: high, in: text) : high
      let end = text[high...].firstIndex { $0 < 0x80 || $0 >= 0xC0 && $0 < highLead } ?? text.count
      result += text[done..<start]
      result += encoded(String(decoding: text[start..<end], as: UTF8.self)._nfc)
      done = end
    }
    return done == 0 ? text : result + text[done...]
  }

  /// The first byte of U+0300.
  private static let highLead: UInt8 = 0xCC
}
