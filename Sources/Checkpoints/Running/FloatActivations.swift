internal import Codecs
internal import Kernels
internal import TensorCore

/// What configs that know no `input_activations` say of the inputs of small floats: transformers' `fp8` and its
/// kin, and ModelOpt's algorithms (FP8-10).
struct FloatActivations {
  private let config: JSONObject

  init(_ config: ModelConfig) {
    let declared = config.model?.object["quantization_config"]?.object
    let object = declared ?? config.quantization?.object ?? JSONObject()
    self.config = object["quantization"]?.object ?? object
    method = config.method?.lowercased()
  }

  private let method: String?
  private static let layouts: Set<String> = ["fp8", "mxfp8", "mxfp4", "nvfp4"]
  /// ModelOpt's algorithms that leave inputs as they are.
  private static let weightOnly: Set<String> = ["FP8_PB_WO", "W4A16_NVFP4"]

  /// Throws `unsupported` where the config asks for what is not computed here.
  func rule(of claim: LayerClaim) throws -> ActivationRule {
    guard Self.layouts.contains(claim.layout) else { return .float }
    if let algorithm = config["quant_algo"]?.string?.uppercased() {
      if Self.weightOnly.contains(algorithm) { return .float }
      guard algorithm == "FP8_PER_CHANNEL_PER_TOKEN" else {
        throw refusal(of: claim, "quant_algo", algorithm)
      }
      return .dynamicFP8()
    }
    switch method {
    case "fp8"?: return try native(claim)
    case "fbgemm_fp8"?: throw refusal(of: claim, "quant_method", "fbgemm_fp8")
    case "mxfp8"?: throw refusal(of: claim, "quant_method", "mxfp8")
    default: return .float
    }
  }

  /// transformers' and DeepSeek's: inputs are rounded in runs as wide as the tiles of weights, or whole tokens.
  private func native(_ claim: LayerClaim) throws -> ActivationRule {
    guard claim.layout == "fp8" else { throw refusal(of: claim, "layout", claim.layout) }
    let scheme = config["activation_scheme"]?.string?.lowercased() ?? "dynamic"
    guard scheme == "dynamic" else { throw refusal(of: claim, "activation_scheme", scheme) }
    let sides = config["weight_block_size"]?.array?.compactMap(\.int) ?? []
    return .dynamicFP8(
      group: sides.count == 2 && sides[1] > 0 ? sides[1] : nil,
      powersOfTwo: config["scale_fmt"]?.string == "ue8m0")
  }

  private func refusal(of claim: LayerClaim, _ key: String, _ value: String) -> Failure {
    Failure(
      .unsupported, at: claim.name, "the config's rule for activations is not computed here",
      expected: "E4M3 with a scale found for each token or run of it", found: "\(key): \(value)",
      rule: "FP8-10", remedy: "--activations float")
  }
}
