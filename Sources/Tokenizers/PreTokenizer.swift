/// One step that cuts a text into pieces; no merge crosses a cut.
enum PreTokenizer: Sendable {
  /// Cuts at the matches of a pattern, or, inverted, at what is between them.
  case split(SplitPattern, SplitBehavior, isInverted: Bool)
  /// Puts a space before a piece that does not begin with one.
  case leadingSpace
  /// Puts the replacement for every space, and one before pieces, as the scheme says.
  case metaspace([UInt8], PrependScheme)
}

/// Which pieces get a leading replacement.
enum PrependScheme: String, Sendable { case always, first, never }

/// What becomes of the matches of a Split.
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// The steps of a pre-tokenizer in their order, and whether bytes get GPT-2's names at the end.
struct PreTokenization: Sendable {
  var steps: [PreTokenizer] = []
  var isByteLevel = false

  /// Hands each piece of `text[range]` to `take`. `isStart`: the piece is the beginning of the
  /// whole input. Recurses once for each step.
  func pieces(
    of text: [UInt8], _ range: Range<Int>, isStart: Bool, from step: Int = 0,
    take: ([UInt8], Range<Int>) throws -> Void
  ) throws {
    guard !range.isEmpty else { return }
    guard step < steps.count else { return try take(text, range) }
    switch steps[step] {
    case .split(let pattern, let behavior, let isInverted):
      try behavior.pieces(of: text, range, pattern, isInverted: isInverted) { piece in
        try pieces(
          of: text, piece, isStart: isStart && piece.lowerBound == range.lowerBound,
          from: step + 1, take: take)
      }
    case .leadingSpace:
      if text[range.lowerBound] == UInt8(ascii: " ") {
        return try pieces(of: text, range, isStart: isStart, from: step + 1, take: take)
      }
      let spaced = [UInt8(ascii: " ")] + text[range]
      try pieces(of: spaced, 0..<spaced.count, isStart: isStart, from: step + 1, take: take)
    case .metaspace(let mark, let scheme):
      let marked = Self.marked(text, range, mark, scheme, isStart: isStart)
      try pieces(of: marked, 0..<marked.count, isStart: isStart, from: step + 1, take: take)
    }
  }

  private static func marked(
    _ text: [UInt8], _ range: Range<Int>, _ mark: [UInt8], _ scheme: PrependScheme, isStart: Bool
  ) -> [UInt8] {
    var marked: [UInt8] = []
    marked.reserveCapacity(range.count + range.count / 2 + mark.count)
    for byte in text[range] {
      if byte == UInt8(ascii: " ") { marked += mark } else { marked.append(byte) }
    }
    let wantsMark = scheme == .always || scheme == .first && isStart
    guard wantsMark, !UTF8Text.hasPrefix(marked, 0..<marked.count, mark) else { return marked }
    return mark + marked
  }
}

extension SplitBehavior {
  /// Cuts `text[range]` and hands each piece on, from first to last. O(n).
  func pieces(
    of text: [UInt8], _ range: Range<Int>, _ pattern: SplitPattern, isInverted: Bool,
    take: (Range<Int>) throws -> Void
  ) throws {
    var joiner = PieceJoiner(behavior: self)
    var done = range.lowerBound
    try pattern.matches(in: text, range) { match in
      if done < match.lowerBound {
        try joiner.add(done..<match.lowerBound, isMatch: isInverted, take)
      }
      try joiner.add(match, isMatch: !isInverted, take)
      done = match.upperBound
    }
    if done < range.upperBound {
      try joiner.add(done..<range.upperBound, isMatch: isInverted, take)
    }
    try joiner.finish(take)
  }
}

/// Joins matches with what is beside them.
private struct PieceJoiner {
  let behavior: SplitBehavior
  /// The piece that may still grow, and whether its last part was a match.
  private var open: (range: Range<Int>, isMatch: Bool)?

  init(behavior: SplitBehavior) { self.behavior = behavior }

  mutating func add(
    _ range: Range<Int>, isMatch: Bool, _ take: (Range<Int>) throws -> Void
  ) throws {
    if behavior == .isolated || behavior == .removed {
      if behavior == .isolated || !isMatch { try take(range) }
      return
    }
    if let open, joins(open.isMatch, isMatch) {
      self.open = (open.range.lowerBound..<range.upperBound, isMatch)
      return
    }
    try finish(take)
    open = (range, isMatch)
  }

  mutating func finish(_ take: (Range<Int>) throws -> Void) throws {
    if let open { try take(open.range) }
    open = nil
  }

  private func joins(_ before: Bool, _ now: Bool) -> Bool {
    switch behavior {
    case .contiguous: before == now
    case .mergedWithPrevious: now && !before
    case .mergedWithNext: before && !now
    case .isolated, .removed: false
    }
  }
}
