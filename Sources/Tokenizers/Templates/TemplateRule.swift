internal import TensorCore

/// The rules of chat templates; a `Failure` cites one as `CT-n`.
///
/// The numbers are those of `Formats/chat-template.md`: they are never given to another rule.
public enum TemplateRule: Int, CaseIterable, Sendable {
  /// The template is written in the grammar.
  case syntax = 1
  /// Tags, filters, tests, methods and functions are of the subset.
  case subset
  /// Operations get values of the types they take.
  case value
  /// Texts, values and work stay within their limits.
  case limits
  /// The template itself takes the messages.
  case refusal
  /// The model has a template.
  case source

  /// The number as errors print it, such as `CT-2`.
  public var name: String { "CT-\(rawValue)" }
}

extension Failure {
  static func template(
    _ rule: TemplateRule, _ kind: Kind = .malformed, at place: String, _ what: String,
    expected: String? = nil, found: String? = nil, remedy: String? = nil
  ) -> Failure {
    Failure(
      kind, at: place, what, expected: expected, found: found, rule: rule.name, remedy: remedy)
  }
}

/// What is wrong, before it is known in which line.
struct TemplateProblem: Error {
  let rule: TemplateRule
  let what: String
  let found: String?

  init(_ rule: TemplateRule, _ what: String, found: String? = nil) {
    self.rule = rule
    self.what = what
    self.found = found
  }

  func failure(at place: String, line: Int) -> Failure {
    let kind: Failure.Kind =
      switch rule {
      case .subset, .limits: .unsupported
      case .refusal: .usage
      default: .malformed
      }
    return .template(rule, kind, at: "\(place), line \(line)", what, found: found)
  }
}
