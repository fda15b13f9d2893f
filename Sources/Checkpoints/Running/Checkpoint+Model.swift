public import Codecs
public import Kernels
public import Models
internal import TensorCore

extension Checkpoint {
  /// The model of this checkpoint on a device, its weights in the layout they are packed in.
  ///
  /// Without `keepsBlocks` each block is loaded when it is asked for. `assume` settles version 1 zero points of
  /// unknown writers. Throws `unsupported` for an unknown architecture and rules for activations that
  /// are not computed, `malformed` for a config or tensors that do not fit it, and `io`.
  public func model(
    on compute: any Compute, activations: ActivationChoice = .float, keepsBlocks: Bool = true,
    assume: ZeroRule? = nil
  ) throws -> CausalModel {
    let config = try neededConfig()
    let rules = try ActivationRules(checkpoint: self, choice: activations).all()
    return try CausalModel(
      config: config.object, path: "\(path)/\(config.name)",
      weights: CheckpointWeights(self, assume: assume), compute: compute, keepsBlocks: keepsBlocks
    ) { rules[$0] ?? .float }
  }

  /// What the config and the names of weights tell of the model; reads no tensor. Throws `unsupported` for an
  /// unknown architecture, `malformed` for a config that does not fit it or where there is none.
  func blueprint() throws -> Blueprint {
    let config = try neededConfig()
    return try Blueprint(
      config: config.object, path: "\(path)/\(config.name)", names: CheckpointWeights(self).names)
  }

  private func neededConfig() throws(Failure) -> ModelConfig.File {
    if let config = config.model { return config }
    throw Failure(
      .malformed, at: path, "a model can't run without its config", expected: "config.json",
      found: "none")
  }
}
