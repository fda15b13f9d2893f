public import TensorCore

/// Something about a checkpoint that its user should know before trusting it.
public struct Finding: Sendable, Equatable {
  public enum Severity: String, Sendable, Comparable {
    /// Worth knowing; nothing is wrong.
    case note
    /// Readable, but some loader may not take it.
    case warning
    /// Breaks a rule: `verify` fails and `convert` refuses.
    case error

    public static func < (a: Severity, b: Severity) -> Bool { a.weight < b.weight }

    private var weight: Int {
      switch self {
      case .note: 0
      case .warning: 1
      case .error: 2
      }
    }
  }

  public let severity: Severity
  public let failure: Failure
  /// The layers or tensors concerned, where there are several.
  public let names: [String]

  public init(_ severity: Severity, _ failure: Failure, names: [String] = []) {
    self.severity = severity
    self.failure = failure
    self.names = names
  }
}

extension [Finding] {
  /// Sorted by severity; those of one severity keep their order.
  public var gravestFirst: [Finding] {
    enumerated().sorted {
      ($1.element.severity, $0.offset) < ($0.element.severity, $1.offset)
    }.map(\.element)
  }
}
