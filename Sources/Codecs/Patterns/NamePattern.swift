internal import TensorCore

/// A regular expression over names of modules, with the meaning Python's `re` gives it.
///
/// It matches in time that grows with the length of the pattern times that of the name, whatever
/// either holds, so a hostile config cannot make it hang. Not supported, and refused by name:
/// backreferences, flags other than a leading `(?i)`, `(?m)`, `(?s)` or `(?u)`, octal escapes,
/// and what only PCRE knows.
public struct NamePattern: Sendable {
  /// The pattern as it was written.
  public let text: String
  private let program: PatternProgram

  /// Reads and compiles a pattern.
  ///
  /// Throws `malformed`, citing `rule`, where it is broken, and `unsupported` where it holds a
  /// construct, or is of a size, that is not read. O(bytes of the pattern).
  public init(_ pattern: String, at place: String, rule: String? = nil) throws {
    let complaint = PatternComplaint(pattern: pattern, place: place, rule: rule)
    guard pattern.utf8.count <= PatternLimits.bytes else {
      throw complaint.tooLarge("bytes", most: PatternLimits.bytes, found: pattern.utf8.count)
    }
    var parser = PatternParser(pattern, complaint)
    let program = PatternProgram(try parser.whole())
    guard program.slotCount <= PatternLimits.slots else {
      throw complaint.tooLarge(
        "points where ways meet", most: PatternLimits.slots, found: program.slotCount)
    }
    text = pattern
    self.program = program
  }

  /// Whether the pattern matches from the start of `name`, which may go on behind (`re.match`).
  ///
  /// A name longer than any tensor's (4096 scalars) matches nothing. O(pattern · name) in time
  /// and memory, counted repetitions written out, times the depth of nested loops.
  public func matchesPrefix(of name: String) -> Bool {
    matches(name, whole: false)
  }

  /// Whether the pattern matches all of `name` (`re.fullmatch`); see `matchesPrefix(of:)`.
  public func matchesWhole(_ name: String) -> Bool {
    matches(name, whole: true)
  }

  private func matches(_ name: String, whole: Bool) -> Bool {
    let scalars = Array(name.unicodeScalars)
    guard scalars.count <= PatternLimits.nameScalars else { return false }
    var matcher = PatternMatcher(program, scalars, whole: whole)
    return matcher.matches()
  }
}

extension NamePattern: Equatable {
  /// Patterns are equal where their texts are, scalar by scalar.
  public static func == (left: NamePattern, right: NamePattern) -> Bool {
    left.text.unicodeScalars.elementsEqual(right.text.unicodeScalars)
  }
}

/// What keeps a hostile pattern small.
enum PatternLimits {
  static let bytes = 1024
  static let depth = 32
  /// Steps of the program, counted repetitions written out.
  static let steps = 2048
  /// Points of the program whose outcomes are remembered for every position of the name.
  static let slots = 1024
  /// No tensor's name is longer (JSON-23).
  static let nameScalars = 4096
}

/// Makes the failures of one pattern.
struct PatternComplaint: Sendable {
  let pattern: String
  let place: String
  let rule: String?

  /// The pattern is no regular expression; `position` counts scalars from 0.
  func broken(_ what: String, at position: Int) -> Failure {
    Failure(
      .malformed, at: place,
      "a module pattern is broken at position \(position): \(what)",
      found: pattern, rule: rule)
  }

  func unsupported(_ construct: String, at position: Int) -> Failure {
    Failure(
      .unsupported, at: place,
      "a module pattern has \(construct) at position \(position), which is not supported",
      found: pattern, rule: rule)
  }

  func tooLarge(_ what: String, most: Int, found: Int) -> Failure {
    Failure(
      .unsupported, at: place, "a module pattern is too large", expected: "at most \(most) \(what)",
      found: "\(found)", rule: rule)
  }
}
