/// The tokens that end a text, as a model's folder names them.
public enum StopTokens {
  /// `eos_token_id` of `generation_config.json`, else of `config.json`; empty where neither has one.
  /// Throws `malformed` where it is neither an id nor a list of ids.
  public static func ids(ofFolder folder: String) throws -> Set<UInt32> {
    for name in ["generation_config.json", "config.json"] {
      let path = "\(folder)/\(name)"
      guard FileSystem.kind(of: path) != nil else { continue }
      let limits = JSONLimits.config
      let json = try JSON(
        parsing: FileSystem.contents(of: path, limit: limits.maxBytes), at: path, limits: limits)
      guard let value = json["eos_token_id"] ?? json["text_config"]?["eos_token_id"],
        !value.isNull
      else { continue }
      return try ids(value, at: path)
    }
    return []
  }

  private static func ids(_ value: JSON, at path: String) throws -> Set<UInt32> {
    let ids = (value.array ?? [value]).map { $0.int.flatMap(UInt32.init(exactly:)) }
    guard ids.allSatisfy({ $0 != nil }) else {
      throw Failure(
        .malformed, at: path, "eos_token_id is neither an id nor a list of ids",
        found: value.text())
    }
    return Set(ids.compactMap(\.self))
  }
}
