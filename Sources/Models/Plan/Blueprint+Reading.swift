public import TensorCore

extension Blueprint {
  /// What a config and the names of a checkpoint's tensors tell of a model; reads nothing. Throws `unsupported` for an
  /// unknown architecture, `malformed` for a config that makes no sense.
  public init(config: JSONObject, path: String, names: Set<String>) throws {
    let fields = ConfigFields(object: config, path: path)
    self = try Architecture.find(fields).makeBlueprint(fields, names)
  }
}
