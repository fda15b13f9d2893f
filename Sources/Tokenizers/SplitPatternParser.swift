internal import TensorCore

/// Reads the subset of regular expressions of `SplitPattern`.
struct SplitPatternParser {
  private let scalars: [Unicode.Scalar]
  private let pattern: String
  private let place: String
  private var position = 0

  private static let mostBytes = 4096
  private static let mostSteps = 64
  private static let mostRepeats = 1_000_000

  init(_ pattern: String, at place: String) {
    scalars = Array(pattern.unicodeScalars)
    self.pattern = pattern
    self.place = place
  }

  func checkLength() throws {
    guard pattern.utf8.count <= Self.mostBytes else { throw unsupported("more than 4096 bytes") }
  }

  mutating func alternatives() throws -> [[SplitPattern.Step]] {
    try checkLength()
    var alternatives: [[SplitPattern.Step]] = []
    repeat {
      let row = try row()
      guard row.contains(where: \.takesSomething) else {
        throw unsupported("an alternative that can match nothing")
      }
      alternatives.append(row)
    } while take("|")
    guard position == scalars.count else { throw broken("`)` without `(`") }
    return alternatives
  }

  private mutating func row() throws -> [SplitPattern.Step] {
    var row: [SplitPattern.Step] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      if take("(") { row.append(try group()) } else { row.append(try run()) }
      guard row.count <= Self.mostSteps else { throw unsupported("a row of more than 64 steps") }
    }
    return row
  }

  // MARK: Runs

  private mutating func run() throws -> SplitPattern.Step {
    let set = try set(ignoringCase: false)
    let (least, most) = try repetition()
    return .run(set, least: least, most: most, isPossessive: try possessive(least, most))
  }

  private mutating func repetition() throws -> (Int, Int) {
    if take("?") { return (0, 1) }
    if take("*") { return (0, .max) }
    if take("+") { return (1, .max) }
    guard take("{") else { return (1, 1) }
    let least = number()
    let most = take(",") ? number() ?? .max : least
    guard take("}"), let least, let most, least <= most, least <= Self.mostRepeats, most > 0 else {
      throw unsupported("a brace that is no count")
    }
    return (least, most)
  }

  /// A second sign behind a repetition.
  private mutating func possessive(_ least: Int, _ most: Int) throws -> Bool {
    guard least != 1 || most != 1 else { return false }
    if let sign = next, sign == "?" || sign == "*" || sign == "{" {
      throw unsupported("a lazy or repeated repetition")
    }
    guard take("+") else { return false }
    guard scalars[position - 2] != "}" else { throw unsupported("a repeated repetition") }
    return true
  }

  private mutating func number() -> Int? {
    let start = position
    while let scalar = next, ("0"..."9").contains(scalar) { position += 1 }
    return Int(String(String.UnicodeScalarView(scalars[start..<position])))
  }

  // MARK: Groups

  private mutating func group() throws -> SplitPattern.Step {
    if take("?!") { return try look(isNegated: true) }
    if take("?=") { return try look(isNegated: false) }
    let ignoresCase = take("?i:")
    if !ignoresCase, !take("?:"), next == "?" { throw unsupported("a group of this kind") }
    var rows: [[ScalarSet]] = []
    repeat {
      var row: [ScalarSet] = []
      while let scalar = next, scalar != "|", scalar != ")" {
        guard scalar != "(", row.count < Self.mostSteps else { throw unsupported("nested groups") }
        row.append(try set(ignoringCase: ignoresCase))
        if let sign = next, "?*+{".unicodeScalars.contains(sign) {
          throw unsupported("a repetition inside of a group")
        }
      }
      guard !row.isEmpty else { throw unsupported("an empty alternative") }
      rows.append(row)
    } while take("|")
    guard take(")") else { throw broken("`(` is not closed") }
    let isOptional = take("?")
    if let sign = next, "?*+{".unicodeScalars.contains(sign) {
      throw unsupported("a repeated group")
    }
    return .choice(rows, isOptional: isOptional)
  }

  private mutating func look(isNegated: Bool) throws -> SplitPattern.Step {
    let set = try set(ignoringCase: false)
    guard take(")") else { throw unsupported("a look ahead at more than one character") }
    return .look(set, isNegated: isNegated)
  }

  // MARK: Sets

  private mutating func set(ignoringCase: Bool) throws -> ScalarSet {
    if take("[") { return try bracket(ignoringCase: ignoringCase) }
    if take(".") { return .dot }
    guard let scalar = next else { throw broken("it ends where a character is expected") }
    if "^$*+?{".unicodeScalars.contains(scalar) { throw unsupported("`\(scalar)` at this place") }
    var set = ScalarSet()
    try member(of: &set, ignoringCase: ignoringCase)
    set.finish(isNegated: false)
    return set
  }

  private mutating func bracket(ignoringCase: Bool) throws -> ScalarSet {
    var set = ScalarSet()
    let isNegated = take("^")
    let first = position
    while position == first || next != "]" {
      guard let scalar = next else { throw broken("`[` is not closed") }
      if scalar == "[" || take("&&") { throw unsupported("a set inside of a set") }
      try member(of: &set, ignoringCase: ignoringCase)
    }
    position += 1
    set.finish(isNegated: isNegated)
    return set
  }

  /// Adds a scalar, a range or a class.
  private mutating func member(of set: inout ScalarSet, ignoringCase: Bool) throws {
    guard let low = try single(or: &set) else { return }
    var high = low
    if position + 1 < scalars.count, next == "-", scalars[position + 1] != "]" {
      position += 1
      guard let end = try single(or: &set), low <= end else { throw broken("a range") }
      high = end
    }
    set.add(low.value...high.value)
    guard ignoringCase else { return }
    guard low == high, low.isASCII else {
      throw unsupported("a range or a foreign letter where case is ignored")
    }
    for other in Self.otherCases(of: low) { set.add(other.value...other.value) }
  }

  /// The scalars that Unicode's simple case folding makes equal to an ASCII scalar.
  private static func otherCases(of scalar: Unicode.Scalar) -> [Unicode.Scalar] {
    var cases = Array(scalar.properties.lowercaseMapping.unicodeScalars)
    cases += scalar.properties.uppercaseMapping.unicodeScalars
    if scalar == "s" || scalar == "S" { cases.append("\u{17F}") }
    if scalar == "k" || scalar == "K" { cases.append("\u{212A}") }
    return cases
  }

  /// The next scalar; nil where it was a class, which is then in `set`.
  private mutating func single(or set: inout ScalarSet) throws -> Unicode.Scalar? {
    guard let scalar = next else { throw broken("it ends inside of a set") }
    position += 1
    guard scalar == "\\" else { return scalar }
    guard let letter = next else { throw broken("a lone backslash") }
    position += 1
    switch letter {
    case "s": set.add(.whitespace)
    case "S": set.add(allBut: .whitespace)
    case "d": set.add(ScalarClass(.decimalNumber))
    case "D": set.add(allBut: ScalarClass(.decimalNumber))
    case "p": set.add(try classOfName())
    case "P": set.add(allBut: try classOfName())
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    default:
      guard letter.isASCII, letter.properties.numericType == nil, !letter.properties.isAlphabetic
      else { throw unsupported("the escape \\\(letter)") }
      return letter
    }
    return nil
  }

  private mutating func classOfName() throws -> ScalarClass {
    guard take("{"), let end = scalars[position...].firstIndex(of: "}") else {
      throw broken("\\p without a name in braces")
    }
    let name = String(String.UnicodeScalarView(scalars[position..<end]))
    position = end + 1
    guard let found = ScalarClass(name: name) else { throw unsupported("the class \\p{\(name)}") }
    return found
  }

  // MARK: Reading

  private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func take(_ text: String) -> Bool {
    guard scalars[position...].starts(with: text.unicodeScalars) else { return false }
    position += text.unicodeScalars.count
    return true
  }

  private func unsupported(_ what: String) -> Failure {
    .tokenizer(
      .pattern, .unsupported, at: place,
      "the pattern has, before position \(position), what is not supported: \(what)",
      found: pattern)
  }

  private func broken(_ what: String) -> Failure {
    .tokenizer(
      .pattern, at: place, "the pattern is broken before position \(position): \(what)",
      found: pattern)
  }
}

extension SplitPattern.Step {
  /// Whether no match of it is empty.
  fileprivate var takesSomething: Bool {
    switch self {
    case .run(_, let least, _, _): least > 0
    case .choice(_, let isOptional): !isOptional
    case .look: false
    }
  }
}
