internal import TensorCore

extension PatternParser {
  /// What an escape stands for.
  private enum Escaped {
    case scalar(Unicode.Scalar)
    case kind(ScalarKind)
  }

  /// An escape outside a class, whose backslash has been taken.
  mutating func escape() throws -> PatternTree {
    if take("A") { return PatternTree(.holds(.start)) }
    if take("Z") { return PatternTree(.holds(.end)) }
    if take("b") { return PatternTree(.holds(.wordEdge)) }
    if take("B") { return PatternTree(.holds(.noWordEdge)) }
    switch try escaped() {
    case .scalar(let scalar): return PatternTree(.one(flags.literal(scalar)))
    case .kind(let kind): return PatternTree(.one(.set(ScalarSet([], kinds: [kind]))))
    }
  }

  /// A class whose `[` has been taken.
  mutating func scalarClass() throws -> PatternTree {
    let start = position - 1
    var ranges: [ClosedRange<Unicode.Scalar>] = []
    var kinds: [ScalarKind] = []
    let isNegated = take("^")
    let first = position
    while position == first || !take("]") {
      switch try classMember(from: start) {
      case .kind(let kind):
        kinds.append(kind)
        if isRange { throw complaint.broken("a range that begins with a class", at: position) }
      case .scalar(let low):
        ranges.append(low...(try rangeEnd(of: low, from: start)))
      }
    }
    let set = ScalarSet(
      ranges, kinds: kinds, isNegated: isNegated, ignoresCase: flags.ignoresCase)
    return PatternTree(.one(.set(set)))
  }

  /// Whether a `-` comes next that is not the last member of its class.
  private var isRange: Bool {
    next == "-" && position + 1 < scalars.count && scalars[position + 1] != "]"
  }

  /// The end of a range that may follow `low`; else `low` itself.
  private mutating func rangeEnd(
    of low: Unicode.Scalar, from start: Int
  ) throws -> Unicode.Scalar {
    guard isRange else { return low }
    let place = position
    position += 1
    guard case .scalar(let high) = try classMember(from: start), low <= high else {
      throw complaint.broken("a range of scalars", at: place)
    }
    return high
  }

  private mutating func classMember(from start: Int) throws -> Escaped {
    guard let scalar = next else { throw complaint.broken("`[` is not closed", at: start) }
    if take("\\b") { return .scalar("\u{8}") }
    if take("\\") { return try escaped() }
    if take("[:") { throw complaint.unsupported("a POSIX class", at: position - 2) }
    position += 1
    return .scalar(scalar)
  }

  /// An escape that means the same inside and outside of classes.
  private mutating func escaped() throws -> Escaped {
    let start = position - 1
    guard let scalar = next else { throw complaint.broken("a lone backslash", at: start) }
    position += 1
    if let kind = ScalarKind(escape: scalar) { return .kind(kind) }
    if let control = Self.controls[scalar] { return .scalar(control) }
    if let digits = Self.hexDigits[scalar] { return .scalar(try hex(digits, from: start)) }
    if ("0"..."9").contains(scalar) {
      throw complaint.unsupported("a backreference or octal escape", at: start)
    }
    guard scalar.properties.isAlphabetic, scalar.isASCII else { return .scalar(scalar) }
    if "CEGHKNPQRXceghkopz".unicodeScalars.contains(scalar) {
      throw complaint.unsupported("the escape \\\(scalar)", at: start)
    }
    throw complaint.broken("the unknown escape \\\(scalar)", at: start)
  }

  private static let controls: [Unicode.Scalar: Unicode.Scalar] = [
    "a": "\u{7}", "f": "\u{C}", "n": "\n", "r": "\r", "t": "\t", "v": "\u{B}",
  ]

  private static let hexDigits: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]

  private mutating func hex(_ count: Int, from start: Int) throws -> Unicode.Scalar {
    let digits = scalars[position...].prefix(count)
    let isHex = digits.allSatisfy { $0.isASCII && $0.properties.isASCIIHexDigit }
    let text = digits.map(String.init).joined()
    guard digits.count == count, isHex, let value = UInt32(text, radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw complaint.broken("an escape that names no scalar", at: start) }
    position += count
    return scalar
  }
}
