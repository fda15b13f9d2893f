/// A parsed pattern, with what must be known of it before it is written out as a program.
struct PatternTree {
  indirect enum Form {
    case one(ScalarTest)
    case holds(PatternAnchor)
    case sequence([PatternTree])
    /// One of several, tried in order; never empty.
    case either([PatternTree])
    case repeated(PatternTree, PatternCount)
    /// What its body matched first is kept: `(?>…)`, and the possessive `x*+`.
    case atomic(PatternTree)
    case look(PatternTree, PatternLook)
  }

  let form: Form
  /// Scalars of the shortest match.
  let minWidth: Int
  /// Scalars of the longest match; nil where it has no end.
  let maxWidth: Int?
  /// At least the steps of the program, and at least one for each repetition written out.
  let steps: Int

  /// Measures `form`. O(its direct parts); the parser keeps every part below
  /// `PatternLimits.steps`, so nothing here overflows.
  init(_ form: Form) {
    self.form = form
    switch form {
    case .one: (minWidth, maxWidth, steps) = (1, 1, 1)
    case .holds: (minWidth, maxWidth, steps) = (0, 0, 1)
    case .sequence(let parts):
      minWidth = parts.reduce(0) { $0 + $1.minWidth }
      maxWidth = parts.reduce(0) { sum, part in sum.flatMap { a in part.maxWidth.map { a + $0 } } }
      steps = parts.reduce(0) { $0 + $1.steps }
    case .either(let choices):
      minWidth = choices.map(\.minWidth).min() ?? 0
      let widths = choices.compactMap(\.maxWidth)
      maxWidth = widths.count == choices.count ? widths.max() : nil
      steps = choices.reduce(0) { $0 + $1.steps + 1 }
    case .repeated(let body, let count):
      minWidth = body.minWidth * count.min
      maxWidth =
        body.maxWidth == 0 ? 0 : count.max.flatMap { max in body.maxWidth.map { $0 * max } }
      let once = max(body.steps, 1)
      steps = once * count.min + (count.max.map { ($0 - count.min) * (once + 1) } ?? once + 2)
    case .atomic(let body):
      (minWidth, maxWidth, steps) = (body.minWidth, body.maxWidth, body.steps + 2)
    case .look(let body, _): (minWidth, maxWidth, steps) = (0, 0, body.steps + 2)
    }
  }
}

/// How often something is repeated.
struct PatternCount {
  var min: Int
  /// nil where there is no end.
  var max: Int?
  /// Whether fewer repetitions are tried first.
  var isLazy = false
}

/// A test of what comes behind, or came before, that takes nothing.
struct PatternLook: Sendable {
  let isNegated: Bool
  /// How far back the body begins; 0 looks ahead.
  let back: Int
}

/// A place between two scalars.
enum PatternAnchor: Sendable {
  case start, lineStart, end, endOrLastNewline, lineEnd, wordEdge, noWordEdge

  /// Whether `position` in `name` is such a place.
  func holds(at position: Int, in name: [Unicode.Scalar]) -> Bool {
    switch self {
    case .start: position == 0
    case .lineStart: position == 0 || name[position - 1] == "\n"
    case .end: position == name.count
    case .endOrLastNewline:
      position == name.count || position == name.count - 1 && name[position] == "\n"
    case .lineEnd: position == name.count || name[position] == "\n"
    case .wordEdge: Self.isWordEdge(position, name)
    case .noWordEdge: !Self.isWordEdge(position, name)
    }
  }

  private static func isWordEdge(_ position: Int, _ name: [Unicode.Scalar]) -> Bool {
    let before = position > 0 && name[position - 1].isPatternWord
    let after = position < name.count && name[position].isPatternWord
    return before != after
  }
}
