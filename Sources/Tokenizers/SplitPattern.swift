internal import TensorCore

/// A regular expression that says where a text is cut, or what is replaced in it.
///
/// It is read from the subset that the pre-tokenizers of known models are written in:
/// alternatives, each a row of sets of scalars with greedy or possessive repetitions, groups of
/// short literal alternatives, and looks ahead at one scalar. It means what Oniguruma makes of it.
/// Everything else is refused by name.
struct SplitPattern: Sendable {
  /// One step of an alternative.
  enum Step: Sendable {
    /// As many scalars of the set as there are from `least` to `most`; fewer where what follows
    /// needs them, unless it is possessive.
    case run(ScalarSet, least: Int, most: Int, isPossessive: Bool)
    /// The first of several rows of sets that leads to a match, or nothing where it is optional.
    case choice([[ScalarSet]], isOptional: Bool)
    /// The next scalar is (not) one of the set; the end of the text is no scalar.
    case look(ScalarSet, isNegated: Bool)
  }

  let text: String
  private let program: SplitProgram
  private let place: String

  /// Throws `unsupported` for what is not in the subset and `malformed` for what is broken.
  init(_ pattern: String, at place: String) throws {
    var parser = SplitPatternParser(pattern, at: place)
    text = pattern
    program = SplitProgram(try parser.alternatives())
    self.place = place
  }

  /// The pattern that matches one text, not empty, and nothing else.
  ///
  /// Throws `unsupported` for a longer one than a regular expression may be.
  init(literal: String, at place: String) throws {
    try SplitPatternParser(literal, at: place).checkLength()
    text = literal
    let row = literal.unicodeScalars.map { ScalarSet([$0]) }
    program = SplitProgram([[.choice([row], isOptional: false)]])
    self.place = place
  }

  /// Finds the matches one after the other and calls `found` with each; `body` is valid UTF-8.
  ///
  /// O(n) for the patterns of known models. A pattern that needs more than `stepsPerByte` steps
  /// for each byte is refused, whatever the text: no text makes it hang.
  func matches(
    in text: [UInt8], _ body: Range<Int>, found: (Range<Int>) throws -> Void
  ) throws {
    var steps = Self.freeSteps + body.count * Self.stepsPerByte
    var position = body.lowerBound
    while position < body.upperBound {
      let end = program.end(in: text, from: position, to: body.upperBound, &steps)
      if let end {
        try found(position..<end)
        position = end
      } else {
        guard steps > 0 else { throw tooManySteps() }
        position += UTF8Text.scalar(text, position).length
      }
    }
  }

  private static let stepsPerByte = 256
  private static let freeSteps = 65_536

  private func tooManySteps() -> Failure {
    .tokenizer(
      .patternSteps, .unsupported, at: place, "the pattern goes back too often in this text",
      expected: "at most \(Self.stepsPerByte) steps for each byte", found: text)
  }
}
