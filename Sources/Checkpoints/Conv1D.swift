internal import Codecs
internal import TensorCore

/// Linear layers of GPT-2's kind (`Conv1D`): dense checkpoints hold their weights as `[inputs, outputs]`, packed ones
/// as all others do.
enum Conv1D {
  /// Their model types.
  static let modelTypes: Set<String> = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"]
  private static let names: Set<Substring> = ["c_attn", "q_attn", "c_proj", "c_fc"]

  /// The packed layers of a model, those of this kind with the dense place they have.
  static func placed(_ layers: [LayerClaim], _ config: ModelConfig) -> [LayerClaim] {
    guard let object = config.model?.object, isKind(object) == true else { return layers }
    return layers.map { layer in
      guard isNamed(layer.name) else { return layer }
      var layer = layer
      layer.dense = DensePlace(name: layer.dense.name, isTransposed: true)
      return layer
    }
  }

  /// Whether a packed layer is of this kind, by the model's `config.json`.
  static func isKind(_ layer: String, _ config: JSONObject) -> Bool {
    isNamed(layer) && isKind(config) == true
  }

  /// Whether the weight of a module is stored as `[inputs, outputs]`. Throws `unsupported` where its name leaves that
  /// open and nothing says what model it is of.
  static func holds(_ module: String, in source: Checkpoint) throws(Failure) -> Bool {
    guard isNamed(module) else { return false }
    if let isKind = isKind(source.config.model?.object ?? JSONObject()) { return isKind }
    throw Failure(
      .unsupported, at: "\(source.path): \(module)",
      "the weight may be stored as [inputs, outputs], as GPT-2's are, or the other way round",
      expected: "a config.json that names the model", found: "no model_type and no architectures")
  }

  /// What users should know of a layout whose one runtime looks for packed layers of this kind under names of its
  /// own; nil for others.
  static func warning(_ codec: any Codec, _ layers: [String], of source: Checkpoint) -> Finding? {
    let config = source.config.model?.object ?? JSONObject()
    guard codec.name == MLX().name,
      let first = layers.first(where: { isKind($0, config) && !isNamedForMLX($0) })
    else { return nil }
    let failure = Failure(
      .unsupported, at: source.path, "mlx-lm looks for packed GPT-2 under other names",
      expected: "model.h.N and its like", found: first, rule: "MLXR-10")
    return Finding(.warning, failure)
  }

  /// Whether mlx-lm finds a packed layer of this kind (MLXR-10).
  static func isNamedForMLX(_ layer: String) -> Bool { layer.hasPrefix("model.h.") }

  private static func isNamed(_ module: String) -> Bool {
    module.split(separator: ".").last.map(names.contains) ?? false
  }

  /// nil where the config does not say what model it is of.
  private static func isKind(_ config: JSONObject) -> Bool? {
    if let type = config["model_type"]?.string { return modelTypes.contains(type) }
    let names = config["architectures"]?.array?.compactMap(\.string) ?? []
    return names.isEmpty ? nil : names.contains { $0.hasPrefix("GPT2") }
  }
}
