public import TensorCore

/// A chat template: what turns messages into the text a model was trained on.
///
/// It is read from the subset of Jinja that the templates of known models are written in, and
/// gives what `apply_chat_template` of transformers gives; what is not in the subset is refused by
/// name and line (`Formats/chat-template.md`). Nothing of the host can be reached from inside, and
/// work, depth and sizes are bounded.
public struct ChatTemplate: Sendable {
  /// What errors name.
  public let place: String
  /// `bos_token` and the like, by name.
  public let specialTokens: [String: String]
  private let statements: [TemplateStatement]
  private let weight: Int

  /// The longest template in bytes.
  public static let mostBytes = 1 << 20
  private static let freeWork = 1_000_000
  private static let workPerScalar = 256

  /// Reads a template. Throws `malformed` (CT-1) and `unsupported` (CT-2, CT-4).
  public init(
    parsing source: String, specialTokens: [String: String] = [:], at place: String
  ) throws {
    guard source.utf8.count <= Self.mostBytes else {
      throw Failure.template(
        .limits, .unsupported, at: place, "the template is too long",
        expected: "at most \(Self.mostBytes) bytes", found: "\(source.utf8.count)")
    }
    self.place = place
    self.specialTokens = specialTokens
    weight = source.unicodeScalars.count
    var parser = try TemplateParser(source, at: place)
    statements = try parser.statements()
  }

  /// The text of `messages`, a list of objects with `role` and `content` as the template takes them.
  ///
  /// `variables` are further names, such as `tools` or `enable_thinking`; `today` is what templates
  /// that print the date are told. Throws `usage` where the
  /// template refuses the messages (CT-5), `malformed` (CT-3) and `unsupported` (CT-2, CT-4).
  public func text(
    of messages: JSON, addsGenerationPrompt: Bool = true, variables: JSONObject = JSONObject(),
    today: CalendarDay? = nil
  ) throws -> String {
    var names: [String: TemplateValue] = [:]
    for (name, token) in specialTokens { names[name] = .string(token) }
    names["messages"] = try TemplateValue(messages, at: "messages")
    names["tools"] = TemplateValue.none
    names["documents"] = TemplateValue.none
    names["add_generation_prompt"] = .bool(addsGenerationPrompt)
    for member in variables.members {
      names[member.key] = try TemplateValue(member.value, at: member.key)
    }
    let size = names.values.reduce(weight) { TemplateValue.sum($0, $1.weight) }
    let work = Self.freeWork + min(size, 1 << 40) * Self.workPerScalar
    var run = TemplateRun(variables: names, today: today, work: work, at: place)
    return PythonText.string(try run.render(statements))
  }
}
