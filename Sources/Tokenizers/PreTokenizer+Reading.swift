internal import TensorCore

extension PreTokenization {
  /// Reads `pre_tokenizer`. Throws `unsupported` for unknown ones and unknown orders.
  init(_ component: Component?) throws {
    guard let component else { return }
    try add(component, depth: 0)
  }

  /// How GPT-2 cuts a text (`encoder.py` of its release).
  static let gpt2 =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  /// Pieces are cut by one step inside the other.
  private static let mostSteps = 64

  private mutating func add(_ component: Component, depth: Int) throws {
    let type = try component.text("type")
    guard !isByteLevel else {
      throw Failure.tokenizer(
        .preTokenizer, .unsupported, at: component.place,
        "a pre-tokenizer behind ByteLevel is not supported", found: type)
    }
    guard steps.count < Self.mostSteps else {
      throw Failure.tokenizer(
        .preTokenizer, .unsupported, at: component.place, "too many steps",
        expected: "at most \(Self.mostSteps)")
    }
    switch type {
    case "Sequence":
      guard depth < Component.mostDepth else { throw component.tooDeep(.preTokenizer) }
      for part in try component.components("pretokenizers") { try add(part, depth: depth + 1) }
    case "ByteLevel":
      if try component.flag("add_prefix_space", default: true) { steps.append(.leadingSpace) }
      if try component.flag("use_regex", default: true) {
        let pattern = try SplitPattern(Self.gpt2, at: component.place)
        steps.append(.split(pattern, .isolated, isInverted: false))
      }
      isByteLevel = true
    case "Split": try addSplit(component)
    case "Metaspace": try addMetaspace(component)
    case "Digits":
      let each = try component.flag("individual_digits", default: false)
      let pattern = try SplitPattern(each ? #"\p{N}"# : #"\p{N}+"#, at: component.place)
      steps.append(.split(pattern, .isolated, isInverted: false))
    default: throw component.unknown(.preTokenizer, "pre-tokenizer", type)
    }
  }

  private mutating func addSplit(_ component: Component) throws {
    let name = try component.text("behavior")
    guard let behavior = SplitBehavior(rawValue: name) else {
      throw component.unknown(.preTokenizer, "behavior of Split", name)
    }
    guard let pattern = try component.pattern() else { return }
    let isInverted = try component.flag("invert", default: false)
    steps.append(.split(pattern, behavior, isInverted: isInverted))
  }

  private mutating func addMetaspace(_ component: Component) throws {
    let mark = String(try component.scalar("replacement"))
    steps.append(.metaspace(Array(mark.utf8), try component.prependScheme()))
    guard try component.flag("split", default: true) else { return }
    let pattern = try SplitPattern(literal: mark, at: component.place)
    steps.append(.split(pattern, .mergedWithNext, isInverted: false))
  }
}

extension Component {
  /// The scheme of a Metaspace; `add_prefix_space` is its name of old.
  func prependScheme() throws -> PrependScheme {
    guard let name = try optionalText("prepend_scheme") else {
      return try flag("add_prefix_space", default: true) ? .always : .never
    }
    guard let scheme = PrependScheme(rawValue: name) else {
      throw unknown(.preTokenizer, "prepend_scheme", name)
    }
    return scheme
  }
}
