internal import TensorCore

extension ChatTemplate {
  /// The template of a model folder: `chat_template.jinja`, else `chat_template.json`, else what
  /// `tokenizer_config.json` says, where one of several is named `default`. Throws `unsupported`
  /// where there is none (CT-6), `io`, `malformed`.
  public init(folder: String) throws {
    let config = try Self.object(folder + "/tokenizer_config.json")
    let tokens = Self.specialTokens(config)
    let file = folder + "/chat_template.jinja"
    if FileSystem.kind(of: file) != nil {
      let bytes = try FileSystem.contents(of: file, limit: Self.mostBytes)
      try self.init(
        parsing: String(decoding: bytes, as: UTF8.self), specialTokens: tokens, at: file)
      return
    }
    for name in ["chat_template.json", "tokenizer_config.json"] {
      let place = "\(folder)/\(name)"
      let object = name == "tokenizer_config.json" ? config : try Self.object(place)
      guard let value = object["chat_template"], !value.isNull else { continue }
      try self.init(
        parsing: try Self.source(value, at: place), specialTokens: tokens,
        at: "\(place): chat_template")
      return
    }
    throw Failure.template(
      .source, .unsupported, at: folder, "the model has no chat template",
      expected: "chat_template.jinja or chat_template in tokenizer_config.json")
  }

  private static func object(_ path: String) throws -> JSONObject {
    guard FileSystem.kind(of: path) != nil else { return JSONObject() }
    let limits = JSONLimits.tokenizer
    let bytes = try FileSystem.contents(of: path, limit: limits.maxBytes)
    let json = try JSON(parsing: bytes, at: path, limits: limits)
    guard let object = json.object else {
      throw Failure.template(.source, at: path, "not an object")
    }
    return object
  }

  /// One template, or the one named `default` of a list.
  private static func source(_ value: JSON, at place: String) throws -> String {
    if let text = value.string { return text }
    let named = value.array?.first { $0["name"]?.string == "default" }
    guard let text = named?["template"]?.string else {
      throw Failure.template(
        .source, at: place, "chat_template is neither a string nor a list with a default")
    }
    return text
  }

  /// The special tokens that `tokenizer_config.json` names, each a string or an object with one.
  private static func specialTokens(_ config: JSONObject) -> [String: String] {
    let names = [
      "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]
    var tokens: [String: String] = [:]
    for name in names {
      tokens[name] = config[name]?.string ?? config[name]?["content"]?.string
    }
    return tokens
  }
}
