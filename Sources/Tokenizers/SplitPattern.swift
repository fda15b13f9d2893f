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
  let alternatives: [[Step]]
  private let place: String

  /// Throws `unsupported` for what is not in the subset and `malformed` for what is broken.
  init(_ pattern: String, at place: String) throws {
    var parser = SplitPatternParser(pattern, at: place)
    text = pattern
    alternatives = try parser.alternatives()
    self.place = place
  }

  /// The pattern that matches one text, not empty, and nothing else.
  init(literal: String, at place: String) {
    text = literal
    let row = literal.unicodeScalars.map { ScalarSet([$0]) }
    alternatives = [[.choice([row], isOptional: false)]]
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
      guard let end = end(in: text, from: position, to: body.upperBound, &steps) else {
        guard steps > 0 else { throw tooManySteps() }
        position += UTF8Text.scalar(text, position).length
        continue
      }
      try found(position..<end)
      position = end
    }
  }

  private static let stepsPerByte = 256
  private static let freeSteps = 65_536

  private func tooManySteps() -> Failure {
    .tokenizer(
      .patternSteps, .unsupported, at: place, "the pattern goes back too often in this text",
      expected: "at most \(Self.stepsPerByte) steps for each byte", found: text)
  }

  private func end(
    in text: [UInt8], from start: Int, to limit: Int, _ steps: inout Int
  ) -> Int? {
    for alternative in alternatives {
      let end = Self.end(of: alternative, 0, in: text, from: start, to: limit, &steps)
      if let end { return end }
      if steps <= 0 { return nil }
    }
    return nil
  }

  /// Where a match of the steps from `index` on ends. Recurses once for each step of the pattern.
  private static func end(
    of row: [Step], _ index: Int, in text: [UInt8], from start: Int, to limit: Int,
    _ steps: inout Int
  ) -> Int? {
    guard index < row.count else { return start }
    steps -= 1
    switch row[index] {
    case .look(let set, let isNegated):
      let isThere = start < limit && set.contains(UTF8Text.scalar(text, start).value)
      guard isThere != isNegated else { return nil }
      return end(of: row, index + 1, in: text, from: start, to: limit, &steps)
    case .choice(let rows, let isOptional):
      for choice in rows {
        guard let next = endOfRow(choice, in: text, from: start, to: limit) else { continue }
        let end = end(of: row, index + 1, in: text, from: next, to: limit, &steps)
        if let end { return end }
      }
      guard isOptional else { return nil }
      return end(of: row, index + 1, in: text, from: start, to: limit, &steps)
    case .run(let set, let least, let most, let isPossessive):
      var count = 0
      var position = start
      while count < most, position < limit {
        let scalar = UTF8Text.scalar(text, position)
        guard set.contains(scalar.value) else { break }
        position += scalar.length
        count += 1
      }
      steps -= count
      while count >= least, steps > 0 {
        let end = end(of: row, index + 1, in: text, from: position, to: limit, &steps)
        if end != nil || isPossessive || count == least { return end }
        position = UTF8Text.start(before: position, in: text)
        count -= 1
      }
      return nil
    }
  }

  private static func endOfRow(
    _ row: [ScalarSet], in text: [UInt8], from start: Int, to limit: Int
  ) -> Int? {
    var position = start
    for set in row {
      guard position < limit else { return nil }
      let scalar = UTF8Text.scalar(text, position)
      guard set.contains(scalar.value) else { return nil }
      position += scalar.length
    }
    return position
  }
}
