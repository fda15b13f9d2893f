internal import Codecs
internal import TensorCore

/// Linear layers of GPT-2's kind (`Conv1D`): dense checkpoints hold their weights as `[inputs, outputs]`, packed ones as
/// all others do.
enum Conv1D {
  /// Their model types.
  static let modelTypes: Set<String> = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"]
  private static let names: Set<Substring> = ["c_attn", "q_attn", "c_proj", "c_fc"]

  /// The packed layers of a model, those of this kind with the dense place they have.
  static func placed(_ layers: [LayerClaim], _ config: ModelConfig) -> [LayerClaim] {
    guard isKind(config) else { return layers }
    return layers.map { layer in
      guard isNamed(layer.name) else { return layer }
      var layer = layer
      layer.dense = DensePlace(name: layer.dense.name, isTransposed: true)
      return layer
    }
  }

  /// Whether a dense model holds the weight of a module as `[inputs, outputs]`.
  static func holds(_ module: String, _ config: ModelConfig) -> Bool {
    isNamed(module) && isKind(config)
  }

  private static func isNamed(_ module: String) -> Bool {
    module.split(separator: ".").last.map(names.contains) ?? false
  }

  static func isKind(_ config: ModelConfig) -> Bool {
    let object = config.model?.object
    if let type = object?["model_type"]?.string { return modelTypes.contains(type) }
    let names = object?["architectures"]?.array?.compactMap(\.string) ?? []
    return names.contains { $0.hasPrefix("GPT2") }
  }
}
