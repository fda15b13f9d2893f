/// The one error of the package: what was wrong, where, what was expected and what was found.
///
/// It prints as `place: what: expected …, found … (rule); remedy`, with a line below for each detail, and for each
/// reason with the first names that it holds for; and its `kind` decides the exit code of the command. Text that came
/// from a file is escaped when the failure is made.
public struct Failure: Error, Equatable, Sendable {
  /// The family of a failure; each has one exit code.
  public enum Kind: String, CaseIterable, Sendable {
    /// The request itself makes no sense.
    case usage
    /// Two checkpoints, or a checkpoint and its proof, do not hold the same numbers.
    case differs
    /// A file breaks the rules of its format.
    case malformed
    /// A well-formed file uses something this build does not read or write.
    case unsupported
    /// The target layout has no place for these numbers.
    case cannotRepresent
    /// The operating system refused.
    case io
    /// A device was asked for and is absent or failed.
    case device
    /// A defect of this program.
    case `internal`

    /// The process exit code of a command that ends with this kind of failure.
    public var exitCode: Int32 {
      switch self {
      case .usage: 2
      case .differs: 3
      case .malformed: 4
      case .unsupported: 5
      case .cannotRepresent: 6
      case .io: 7
      case .device: 8
      case .internal: 70
      }
    }
  }

  public var kind: Kind
  /// A file, tensor, layer or option: where the trouble is.
  public var place: String
  public var what: String
  public var expected: String?
  public var found: String?
  /// The rule of `Formats/` that was broken, such as `ST-9`.
  public var rule: String?
  /// What would work instead.
  public var remedy: String?
  /// One line for each of several things concerned, such as layers.
  public var details: [String] = []
  /// Where many things are concerned for few reasons: each reason once.
  public var reasons: [Reason] = []

  /// What is to be said of several things, such as layers, by their names.
  public struct Reason: Equatable, Sendable {
    public let text: String
    public let names: [String]

    public init(_ text: String, names: [String]) {
      self.text = text.escapedForDisplay
      self.names = names.map(\.escapedForDisplay)
    }
  }

  public init(
    _ kind: Kind, at place: String, _ what: String, expected: String? = nil, found: String? = nil,
    rule: String? = nil, remedy: String? = nil, details: [String] = [], reasons: [Reason] = []
  ) {
    self.reasons = reasons
    self.kind = kind
    self.place = place.escapedForDisplay
    self.what = what.escapedForDisplay
    self.expected = expected?.escapedForDisplay
    self.found = found?.escapedForDisplay
    self.rule = rule
    self.remedy = remedy
    self.details = details.map(\.escapedForDisplay)
  }
}

extension Failure: CustomStringConvertible {
  public var description: String {
    var text = place.isEmpty ? what : "\(place): \(what)"
    let outcome = [expected.map { "expected \($0)" }, found.map { "found \($0)" }]
    let known = outcome.compactMap(\.self)
    if !known.isEmpty { text += ": " + known.joined(separator: ", ") }
    if let rule { text += " (\(rule))" }
    if let remedy { text += "; \(remedy)" }
    for detail in details { text += "\n  \(detail)" }
    for reason in reasons { text += "\n  \(reason)" }
    return text
  }
}

extension Failure.Reason: CustomStringConvertible {
  /// The reason, and below it the names: all of four, of more the first three and how many there are besides.
  public var description: String {
    let shown = names.count > 4 ? names.prefix(3) : names[...]
    let rest = names.count - shown.count
    return "\(text)\n    \(shown.joined(separator: ", "))" + (rest > 0 ? " and \(rest) more" : "")
  }
}

extension StringProtocol {
  /// The text with control, bidirectional-override and other invisible characters spelled
  /// `\u{…}`, so that a name from a file cannot drive a terminal.
  public var escapedForDisplay: String {
    guard unicodeScalars.contains(where: \.isUnprintable) else { return String(self) }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.isUnprintable {
        text += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}

extension Unicode.Scalar {
  fileprivate var isUnprintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator:
      true
    default: false
    }
  }
}
