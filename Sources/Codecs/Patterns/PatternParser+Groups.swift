internal import TensorCore

extension PatternParser {
  /// Flags for the whole pattern, which only its start may hold.
  mutating func leadingFlags() throws {
    while let letters = flagLetters(at: position) {
      for letter in letters {
        switch letter {
        case "i": flags.ignoresCase = true
        case "m": flags.isMultiline = true
        case "s": flags.dotTakesNewline = true
        case "u": continue
        default: throw complaint.unsupported("the flag \(letter)", at: position)
        }
      }
      position += letters.count + 3
    }
  }

  /// The letters of `(?letters)` where `start` has that.
  private func flagLetters(at start: Int) -> ArraySlice<Unicode.Scalar>? {
    guard scalars[start...].starts(with: "(?".unicodeScalars) else { return nil }
    let letters = scalars[(start + 2)...].prefix { "aiLmsux".unicodeScalars.contains($0) }
    guard !letters.isEmpty, letters.endIndex < scalars.count, scalars[letters.endIndex] == ")"
    else { return nil }
    return letters
  }

  /// A group whose `(` has been taken.
  mutating func group() throws -> PatternTree {
    let start = position - 1
    depth += 1
    defer { depth -= 1 }
    guard depth <= PatternLimits.depth else {
      throw complaint.unsupported("more than \(PatternLimits.depth) nested groups", at: start)
    }
    guard take("?") else { return try body(from: start) }
    if take(":") { return try body(from: start) }
    if take(">") { return PatternTree(.atomic(try body(from: start))) }
    if take("=") { return try look(isNegated: false, from: start) }
    if take("!") { return try look(isNegated: true, from: start) }
    if take("<=") { return try lookBehind(isNegated: false, from: start) }
    if take("<!") { return try lookBehind(isNegated: true, from: start) }
    if take("P<") {
      try groupName()
      return try body(from: start)
    }
    throw unknownGroup(from: start)
  }

  private mutating func body(from start: Int) throws -> PatternTree {
    let tree = try choices()
    guard take(")") else { throw complaint.broken("`(` is not closed", at: start) }
    return tree
  }

  private mutating func look(isNegated: Bool, from start: Int) throws -> PatternTree {
    PatternTree(.look(try body(from: start), PatternLook(isNegated: isNegated, back: 0)))
  }

  private mutating func lookBehind(isNegated: Bool, from start: Int) throws -> PatternTree {
    let tree = try body(from: start)
    guard tree.minWidth == tree.maxWidth else {
      throw complaint.unsupported("a look-behind without a fixed width", at: start)
    }
    return PatternTree(.look(tree, PatternLook(isNegated: isNegated, back: tree.minWidth)))
  }

  /// The rest of `(?P<name>`. The name serves nothing, as nothing refers to groups.
  private mutating func groupName() throws {
    let start = position
    while let scalar = next, scalar.isPatternWord { position += 1 }
    let name = scalars[start..<position]
    guard let first = name.first, first.properties.numericType == nil, take(">") else {
      throw complaint.broken("a group's name", at: start)
    }
    guard groupNames.insert(name.map(String.init).joined()).inserted else {
      throw complaint.broken("a second group of one name", at: start)
    }
  }

  /// What is wrong with a group of which `(?` has been taken.
  private mutating func unknownGroup(from start: Int) -> Failure {
    guard let letter = next else { return complaint.broken("`(` is not closed", at: start) }
    if flagLetters(at: start) != nil {
      return complaint.broken("flags that are not at the start", at: start)
    }
    if take("P=") { return complaint.unsupported("a backreference", at: start) }
    if letter == "P" { return complaint.broken("a group's name", at: position) }
    return complaint.unsupported("a group of the kind `(?\(letter)`", at: start)
  }
}
