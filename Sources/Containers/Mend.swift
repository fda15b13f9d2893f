public import TensorCore

/// One thing about a damaged checkpoint that was set right without guessing.
public struct Mend: Sendable, Equatable {
  /// The file or tensor concerned.
  public let place: String
  /// What was wrong and what became of it.
  public let what: String
  /// The rule that was broken, such as `ST-8`.
  public let rule: String

  public init(at place: String, _ what: String, rule: String) {
    (self.place, self.what, self.rule) = (place.escapedForDisplay, what.escapedForDisplay, rule)
  }
}

extension Mend: CustomStringConvertible {
  public var description: String { "\(place): \(what) (\(rule))" }
}

extension Mend {
  public var json: JSON {
    ["place": .string(place), "what": .string(what), "rule": .string(rule)]
  }
}
