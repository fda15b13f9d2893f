internal import TensorCore

extension Normalizer {
  /// The steps of `normalizer`, sequences laid flat. Throws `unsupported` for unknown ones.
  static func steps(_ component: Component?, depth: Int = 0) throws -> [Normalizer] {
    guard let component else { return [] }
    let type = try component.text("type")
    switch type {
    case "Sequence":
      guard depth < Component.mostDepth else { throw component.tooDeep(.normalizer) }
      return try component.components("normalizers").flatMap { try steps($0, depth: depth + 1) }
    case "Prepend": return [.prepend(Array(try component.text("prepend").utf8))]
    case "Replace":
      guard let pattern = try component.pattern() else { return [] }
      return [.replace(pattern, by: Array(try component.text("content").utf8))]
    case "NFC": return [.composed]
    case "NFD": return [.decomposed]
    case "NFKC": return [.compatiblyComposed]
    case "NFKD": return [.compatiblyDecomposed]
    case "Lowercase": return [.lowercase]
    case "StripAccents": return [.stripAccents]
    case "Strip":
      return [
        .strip(
          left: try component.flag("strip_left", default: true),
          right: try component.flag("strip_right", default: true))
      ]
    default: throw component.unknown(.normalizer, "normalizer", type)
    }
  }
}

extension Component {
  /// Sequences inside of sequences.
  static let mostDepth = 8

  /// The `pattern` of a Split or Replace; nil where it is an empty text, which matches nothing.
  func pattern() throws -> SplitPattern? {
    guard let pattern = try component("pattern") else {
      throw Failure.tokenizer(.fieldType, at: place(of: "pattern"), "the field is missing")
    }
    if let text = try pattern.optionalText("Regex") {
      return try SplitPattern(text, at: pattern.place)
    }
    let text = try pattern.text("String")
    return text.isEmpty ? nil : try SplitPattern(literal: text, at: pattern.place)
  }

  func unknown(_ rule: TokenizerRule, _ what: String, _ type: String) -> Failure {
    .tokenizer(rule, .unsupported, at: place, "a \(what) that is not supported", found: type)
  }

  func tooDeep(_ rule: TokenizerRule) -> Failure {
    .tokenizer(
      rule, .unsupported, at: place, "sequences are nested too deep",
      expected: "at most \(Self.mostDepth)")
  }
}
