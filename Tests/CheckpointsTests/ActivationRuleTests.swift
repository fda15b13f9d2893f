import Kernels
import TensorCore
import TestKit
import Testing

@testable import Checkpoints

/// What `--activations config` does with the inputs of linear layers, by what configs say.
@Suite struct ActivationRuleTests {
  /// The rule of an FP8 layer under a `quantization_config`; nil where it is refused.
  private func rule(_ quantization: String) throws -> ActivationRule? {
    let folder = try TemporaryFolder()
    var model = Model()
    let codes = (0..<32 * 64).map { UInt8($0 % 96) }
    model.add("model.layers.0.mlp.up_proj.weight", .f8e4m3, [32, 64], codes)
    model.add(
      "model.layers.0.mlp.up_proj.weight_scale", .f32, [1], ([0.5] as [Float]).rawSpan.array)
    model.config = #"{"model_type": "llama", "quantization_config": \#(quantization)}"#
    try model.write(to: folder.path("in"))
    let checkpoint = try Checkpoint(opening: folder.path("in"))
    #expect(checkpoint.layers.map(\.layout) == ["fp8"])
    do {
      let rules = try ActivationRules(checkpoint: checkpoint, choice: .config).all()
      return rules["model.layers.0.mlp.up_proj"]
    } catch let failure as Failure {
      #expect(failure.kind == .unsupported && failure.remedy == "--activations float")
      return nil
    }
  }

  @Test(arguments: [
    (#"{"quant_method": "fp8"}"#, ActivationRule.dynamicFP8()),
    (
      #"{"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}"#,
      .dynamicFP8(group: 128)
    ),
    (
      #"{"quant_method": "fp8", "weight_block_size": [64, 32], "scale_fmt": "ue8m0"}"#,
      .dynamicFP8(group: 32, powersOfTwo: true)
    ),
    (#"{"quant_method": "fp8", "activation_scheme": "static"}"#, nil),
    (#"{"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}"#, nil),
    (#"{"quant_method": "modelopt", "quant_algo": "FP8"}"#, nil),
    (
      #"{"quant_method": "modelopt", "quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"}"#,
      .dynamicFP8()
    ),
    (#"{"quant_method": "modelopt", "quant_algo": "FP8_PB_WO"}"#, .float),
  ])
  func nativeConfigs(_ sample: (config: String, rule: ActivationRule?)) throws {
    #expect(try rule(sample.config) == sample.rule, "\(sample.config)")
  }

  @Test(arguments: [
    ("null", ActivationRule.float),
    (#"{"type": "float", "num_bits": 8, "dynamic": true, "strategy": "token"}"#, .dynamicFP8()),
    (
      #"{"type": "float", "num_bits": 8, "dynamic": true, "strategy": "group", "group_size": 16}"#,
      .dynamicFP8(group: 16)
    ),
    (#"{"type": "float", "num_bits": 8, "dynamic": false, "strategy": "tensor"}"#, nil),
    (#"{"type": "float", "num_bits": 4, "dynamic": "local", "strategy": "tensor_group"}"#, nil),
  ])
  func compressedTensors(_ sample: (inputs: String, rule: ActivationRule?)) throws {
    let config = """
      {"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": {\
      "group_0": {"targets": ["Linear"], "weights": {"type": "float", "num_bits": 8, \
      "strategy": "tensor", "symmetric": true}, "input_activations": \(sample.inputs)}}}
      """
    #expect(try rule(config) == sample.rule, "\(sample.inputs)")
  }
}
