internal import TensorCore

/// Reads a pattern in Python's syntax. Groups nest at most `PatternLimits.depth` deep, which is
/// the only recursion.
struct PatternParser {
  let scalars: [Unicode.Scalar]
  let complaint: PatternComplaint
  var position = 0
  var depth = 0
  var flags = PatternFlags()
  var groupNames: Set<String> = []

  init(_ pattern: String, _ complaint: PatternComplaint) {
    scalars = Array(pattern.unicodeScalars)
    self.complaint = complaint
  }

  var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  /// Steps over `text` where it comes next.
  mutating func take(_ text: String) -> Bool {
    guard scalars[position...].starts(with: text.unicodeScalars) else { return false }
    position += text.unicodeScalars.count
    return true
  }

  /// The whole pattern.
  mutating func whole() throws -> PatternTree {
    try leadingFlags()
    let tree = try choices()
    guard next == nil else { throw complaint.broken("`)` closes nothing", at: position) }
    try checkSize(tree, at: 0)
    return tree
  }

  /// Alternatives, up to `)` or the end.
  mutating func choices() throws -> PatternTree {
    var choices = [try sequence()]
    while take("|") { choices.append(try sequence()) }
    return choices.count == 1 ? choices[0] : PatternTree(.either(choices))
  }

  /// Always a `sequence`, so that a group is never mistaken for the one anchor in it.
  private mutating func sequence() throws -> PatternTree {
    var parts: [PatternTree] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      let start = position
      parts.append(try repeated(try atom(), from: start))
    }
    return PatternTree(.sequence(parts))
  }

  private mutating func atom() throws -> PatternTree {
    let start = position
    if count() != nil { throw complaint.broken("nothing to repeat", at: start) }
    let scalar = scalars[position]
    position += 1
    switch scalar {
    case "(": return try group()
    case "[": return try scalarClass()
    case "\\": return try escape()
    case ".": return PatternTree(.one(flags.anyScalar))
    case "^": return PatternTree(.holds(flags.isMultiline ? .lineStart : .start))
    case "$": return PatternTree(.holds(flags.isMultiline ? .lineEnd : .endOrLastNewline))
    default: return PatternTree(.one(flags.literal(scalar)))
    }
  }

  private mutating func repeated(_ tree: PatternTree, from start: Int) throws -> PatternTree {
    let place = position
    guard var count = count() else { return tree }
    if case .holds = tree.form { throw complaint.broken("nothing to repeat", at: place) }
    if let max = count.max, max < count.min {
      throw complaint.broken("a count whose end is below its start", at: place)
    }
    count.isLazy = take("?")
    let isPossessive = !count.isLazy && take("+")
    let again = position
    if self.count() != nil { throw complaint.broken("a repeated repetition", at: again) }
    let loop = PatternTree(.repeated(tree, count))
    try checkSize(loop, at: start)
    return isPossessive ? PatternTree(.atomic(loop)) : loop
  }

  /// The count that comes next, without its `?` or `+`; nil, and nothing taken, where none does.
  private mutating func count() -> PatternCount? {
    if take("*") { return PatternCount(min: 0) }
    if take("+") { return PatternCount(min: 1) }
    if take("?") { return PatternCount(min: 0, max: 1) }
    let start = position
    guard take("{"), next != "}" else {
      position = start
      return nil
    }
    let low = number()
    let high = take(",") ? number() : low
    guard take("}") else {
      position = start
      return nil
    }
    return PatternCount(min: low ?? 0, max: high)
  }

  /// Decimal digits; what exceeds every limit stays at one beyond it.
  private mutating func number() -> Int? {
    var number: Int?
    while let digit = next, ("0"..."9").contains(digit) {
      number = min((number ?? 0) * 10 + Int(digit.value - 0x30), PatternLimits.steps + 1)
      position += 1
    }
    return number
  }

  private func checkSize(_ tree: PatternTree, at start: Int) throws {
    guard tree.steps <= PatternLimits.steps else {
      throw complaint.unsupported(
        "more than \(PatternLimits.steps) steps, its repetitions written out,", at: start)
    }
  }
}

/// What `(?i)`, `(?m)` and `(?s)` at the start of a pattern change.
struct PatternFlags {
  var ignoresCase = false
  var isMultiline = false
  var dotTakesNewline = false

  /// What `.` stands for.
  var anyScalar: ScalarTest {
    dotTakesNewline ? .anything : .set(ScalarSet(["\n"..."\n"], isNegated: true))
  }

  func literal(_ scalar: Unicode.Scalar) -> ScalarTest {
    ignoresCase ? .set(ScalarSet([scalar...scalar], ignoresCase: true)) : .literal(scalar)
  }
}
