public import TensorCore

extension Blueprint {
  /// What a config describes, for a checkpoint with tensors of these names as a dense one would have; reads no
  /// tensor and checks none. `path` is the config's, for messages.
  ///
  /// Throws `unsupported` for an unknown architecture, `malformed` for a config that does not fit it.
  public init(config: JSONObject, path: String, names: Set<String> = []) throws {
    let fields = ConfigFields(object: config, path: path)
    self = try Architecture.find(fields).makeBlueprint(fields, names)
  }

  /// The whole model's names for those of a decoder that was saved by itself; none where nothing is missing, and
  /// where the architecture is not known.
  public static func completedNames(
    config: JSONObject, path: String, names: Set<String>
  ) -> [String: String] {
    let architecture = try? Architecture.find(ConfigFields(object: config, path: path))
    return architecture?.completedNames(names) ?? [:]
  }
}
