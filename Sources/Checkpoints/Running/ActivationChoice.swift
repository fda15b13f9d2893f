internal import Codecs
internal import Kernels
internal import TensorCore

/// How the inputs of quantized linear layers are treated.
public enum ActivationChoice: String, CaseIterable, Sendable {
  /// Weights dequantized, activations in floating point: what a checkpoint's numbers mean.
  case float
  /// As the checkpoint's config says: LLM.int8() with its threshold, W8A8, FP8-dynamic.
  case config
  /// 8-bit codes wherever weights are packed; faster, and less exact.
  case int8
}

/// The rule of each linear layer of a checkpoint.
struct ActivationRules {
  let checkpoint: Checkpoint
  let choice: ActivationChoice

  /// By module path; layers that are not there take floats. Throws `unsupported` for rules of configs that are
  /// not computed here.
  func all() throws -> [String: ActivationRule] {
    guard choice != .float else { return [:] }
    let rules = checkpoint.config.scheme?.rules()
    var found: [String: ActivationRule] = [:]
    for claim in checkpoint.layers {
      let settings = rules?.settings(for: claim.name)
      let rule = choice == .int8 ? .int8(group: nil) : try rule(claim, settings)
      found[claim.module] = rule
    }
    return found
  }

  private func rule(_ claim: LayerClaim, _ settings: Scheme.Settings?) throws -> ActivationRule {
    if claim.layout == BitsAndBytesInt8.layout { return .llmInt8(threshold: threshold) }
    guard let inputs = settings?.dialect["input_activations"]?.object else {
      return try FloatActivations(checkpoint.config).rule(of: claim)
    }
    guard let rule = Self.rule(inputs) else {
      throw Failure(
        .unsupported, at: claim.name, "the config's rule for activations is not computed here",
        expected: "8 bits, dynamic, a symmetric scale for each token; of floats also for groups",
        found: JSON.object(inputs).text(), remedy: "--activations float")
    }
    return rule
  }

  /// compressed-tensors' `input_activations`; nil where they are not computed here.
  private static func rule(_ inputs: JSONObject) -> ActivationRule? {
    guard inputs["num_bits"]?.int == 8, inputs["dynamic"]?.bool == true,
      inputs["symmetric"]?.bool ?? true
    else { return nil }
    switch (inputs["type"]?.string ?? "int", inputs["strategy"]?.string) {
    case ("int", "token"): return .dynamicInt8
    case ("float", "token"): return .dynamicFP8()
    case ("float", "group"):
      let size = inputs["group_size"]?.int ?? 0
      return size > 0 ? .dynamicFP8(group: size) : nil
    default: return nil
    }
  }

  /// `llm_int8_threshold`, 6 where the config is silent.
  private var threshold: Float {
    let config = checkpoint.config.model?.object["quantization_config"]
    return Float(config?["llm_int8_threshold"]?.double ?? 6)
  }
}
