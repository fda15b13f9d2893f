public import TensorCore

extension Blueprint {
  /// The model of a config whose checkpoint has tensors of these names. Reads nothing; `path` is for messages.
  ///
  /// Throws `unsupported` for an unknown architecture, `malformed` for a config that makes no sense.
  public init(config: JSONObject, path: String, names: Set<String>) throws {
    let fields = ConfigFields(object: config, path: path)
    self = try Architecture.find(fields).makeBlueprint(fields, names)
  }
}
