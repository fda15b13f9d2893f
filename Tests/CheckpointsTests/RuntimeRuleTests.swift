import Codecs
import TensorCore
import TestKit
import Testing

@testable import Checkpoints

/// Each rule of each runtime turns red when it is broken, and is silent before.
@Suite struct RuntimeRuleTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let rules: [String]
    let layout: String
    var ranks = 1
    /// Layers concerned; nil where the model as a whole is.
    var layers: Int? = 7
    let breaking: @Sendable (inout LoadedSample) -> Void

    init(
      _ rules: [String], _ layout: String = "gptq", ranks: Int = 1, layers: Int? = 7,
      _ breaking: @escaping @Sendable (inout LoadedSample) -> Void
    ) {
      self.rules = rules
      self.layout = layout
      self.ranks = ranks
      self.layers = layers
      self.breaking = breaking
    }

    var testDescription: String { rules.joined(separator: " ") }
  }

  static let mlp = "mlp.down_proj"

  static let cases: [Case] = [
    Case(["VLLM-1", "SGL-1", "TF-1", "LCPP-1"], layers: nil) {
      $0.config["quantization_config"] = nil
    },
    Case(["VLLM-2", "SGL-2"], layers: nil) { $0.setKey("sym", nil) },
    Case(["VLLM-2", "SGL-2"], "awq", layers: nil) { $0.setKey("zero_point", nil) },
    Case(["VLLM-2", "SGL-2", "TF-2"], layers: nil) { $0.setKey("quant_method", nil) },
    Case(["VLLM-3", "SGL-3"], "awq") { $0.setAll(\.layout, "awq_gemv") },
    Case(["VLLM-3", "SGL-3", "TF-3", "LCPP-2"]) { $0.setAll(\.layout, "mlx") },
    Case(["LCPP-2"]) { $0.setAll(\.layout, "awq") },
    Case(["MLXR-3"], "awq") { $0.setAll(\.layout, "gptq") },
    Case(["VLLM-4"]) { $0.setAll(\.bits, 3) },
    Case(["VLLM-4"], "gptq_v2") { $0.symmetric = false },
    Case(["VLLM-5", "SGL-5"], layers: 1) { $0[mlp].zeros = 7...9 },
    Case(["VLLM-5", "SGL-5"]) { $0.setAll(\.zeros, 9...9) },
    Case(["VLLM-6"]) { $0.groupSize = 16 },
    Case(["VLLM-7", "SGL-18"], "awq") { $0.groupSize = 16 },
    Case(["VLLM-8", "SGL-7", "TF-6"], layers: 1) { $0[mlp].isPermuted = true },
    Case(["VLLM-9", "SGL-8"], ranks: 2, layers: nil) { $0.config["num_attention_heads"] = 7 },
    Case(["VLLM-9", "SGL-8"], ranks: 2, layers: nil) { $0.config["num_key_value_heads"] = 3 },
    Case(["VLLM-10", "SGL-9"], ranks: 2, layers: 1) { $0[mlp].columns = 480 },
    Case(["VLLM-10", "SGL-9"], ranks: 2, layers: 1) { $0[mlp].columns = 511 },
    Case(["VLLM-11", "SGL-10"], ranks: 2, layers: 2) {
      for name in ["mlp.gate_proj", "mlp.up_proj"] { $0[name].rows = 504 }
    },
    Case(["VLLM-11", "SGL-10"], ranks: 2, layers: 1) { $0["self_attn.k_proj"].rows = 127 },
    Case(["VLLM-12", "SGL-12"], layers: 1) { $0[mlp].rows = 224 },
    Case(["VLLM-12", "SGL-12"], ranks: 2, layers: 1) { $0[mlp].columns = 448 },
    Case(["VLLM-13"], layers: 1) {
      $0[mlp].isPermuted = true
      $0[mlp].rows = 224
    },
    Case(["VLLM-14", "SGL-13"], ranks: 2, layers: 2) {
      $0.actOrder = true
      $0.setAll(\.isPermuted, true)
    },
    Case(["VLLM-15", "SGL-14"], layers: 3) { $0["self_attn.k_proj"].bits = 8 },
    Case(["VLLM-15", "SGL-14"], layers: 2) { $0["mlp.up_proj"].groupSize = 64 },
    Case(["VLLM-15", "SGL-14"], layers: 2) { $0["mlp.up_proj"].isPermuted = true },
    Case(["VLLM-15", "SGL-14"], layers: 1) {
      $0.layers["model.layers.0.mlp.up_proj"] = nil
      $0.dense.insert("model.layers.0.mlp.up_proj")
    },
    Case(["VLLM-16", "SGL-15"], layers: 2) {
      $0["mlp.experts.0.w2"] = $0[mlp]
      $0["mlp.experts.1.w2"] = $0[mlp]
      $0["mlp.experts.1.w2"].bits = 8
    },
    Case(["VLLM-16", "SGL-15"], layers: 1) {
      $0["mlp.experts.0.w2"] = $0[mlp]
      $0.dense.insert("model.layers.0.mlp.experts.1.w2")
    },
    Case(["SGL-6"], layers: 1) {
      $0["mlp.experts.0.w2"] = $0[mlp]
      $0["mlp.experts.0.w2"].bits = 3
    },
    Case(["VLLM-17", "SGL-16", "TF-5"], layers: 1) { $0.layers["lm_head"] = $0[mlp] },
    Case(["VLLM-18", "SGL-17"]) { $0.denseType = .bf16 },
    Case(["VLLM-19", "SGL-19"], "awq") { $0.setKey("zero_point", false) },
    Case(["VLLM-20"], "compressed-tensors") {
      $0.setAll(\.bits, 3)
      $0.setAll(\.zeros, 0...7)
    },
    Case(["SGL-4"]) {
      $0.denseType = .bf16
      $0.setAll(\.bits, 2)
    },
    Case(["SGL-11"], layers: 1) { $0[mlp].rows = 224 },
    Case(["TF-4"]) { $0.symmetric = false },
    Case(["TF-4"]) {
      $0.symmetric = false
      $0.writer = "gptqmodel:0.8.1"
    },
    Case(["MLXR-1"], "awq", layers: nil) { $0.files = ["weights.safetensors"] },
    Case(["MLXR-2"], "awq", layers: nil) { $0.setKey("quant_method", nil) },
    Case(["MLXR-4"], "awq") { $0.setAll(\.parts, ["qweight", "g_idx"]) },
    Case(["MLXR-5"], "awq") { $0.setAll(\.groupSize, 256) },
    Case(["MLXR-5"], "awq") { $0.groupSize = -1 },
    Case(["MLXR-6"], "mlx") { $0.setAll(\.bits, 7) },
    Case(["MLXR-7"], "awq", layers: 1) { $0[mlp].zeros = 7...8 },
    Case(["MLXR-8"], "awq") { $0.denseType = .bf16 },
    Case(["MLXR-9"], "awq", layers: 1) { $0[mlp].groupSize = 64 },
    Case(["TF-7", "MLXR-10"], "awq", layers: 1) {
      $0.config["model_type"] = "gpt2"
      $0.layers["transformer.h.0.mlp.c_proj"] = $0[mlp]
    },
    Case(["LCPP-3"]) { $0.setAll(\.parts, ["qweight"]) },
    Case(["LCPP-4"]) { $0.setAll(\.bits, 3) },
    Case(["LCPP-5"], layers: 1) { $0[mlp].bits = 8 },
    Case(["LCPP-6"], layers: 2) {
      $0[mlp].ambiguous = 3
      $0["mlp.up_proj"].zeros = 0...15
    },
    Case(["LCPP-7"], "gptq_v2") { $0.setKey("checkpoint_format", nil) },
    Case(["LCPP-8"], "compressed-tensors", layers: 1) {
      $0[mlp].parts = ["weight_packed"]
      $0[mlp].groupSize = -1
    },
    Case(["LCPP-9"], "compressed-tensors", layers: nil) {
      $0.setKey("config_groups", ["group_0": [:], "group_1": [:]])
    },
    Case(["LCPP-10"], "compressed-tensors", layers: 1) {
      $0[mlp].parts = ["weight_packed"]
      $0[mlp].bits = 3
    },
  ]

  @Test(arguments: cases) func ruleTurnsRed(_ test: Case) throws {
    var sample = LoadedSample(test.layout)
    let before = try Self.findings(sample, ranks: test.ranks)
    test.breaking(&sample)
    let after = try Self.findings(sample, ranks: test.ranks)
    for rule in test.rules {
      #expect(before[rule] == nil, "\(rule) is broken from the start")
      let finding = try #require(after[rule], "\(rule) is not broken")
      #expect(finding.severity == (Self.warnings.contains(rule) ? .warning : .error), "\(rule)")
      #expect(finding.names.count == test.layers ?? 0, "\(finding.failure)")
      #expect(finding.failure.kind == .unsupported)
    }
  }

  private static let warnings: Set = [
    "VLLM-7", "VLLM-12", "VLLM-14", "VLLM-18", "VLLM-19", "SGL-4", "SGL-12", "SGL-13", "SGL-17",
    "SGL-18", "SGL-19", "TF-6", "MLXR-7", "MLXR-8", "LCPP-6",
  ]

  private static func findings(_ sample: LoadedSample, ranks: Int) throws -> [String: Finding] {
    let model = try sample.model()
    let all = Runtime.all.flatMap { $0.findings(in: model, ranks: [ranks]) }
    return Dictionary(all.map { ($0.failure.rule ?? "", $0) }) { first, _ in first }
  }

  @Test func everyRuleHasACase() {
    #expect(Set(Self.cases.flatMap(\.rules)) == Set(Runtime.all.flatMap(\.ruleNumbers)))
  }

  /// Heads that are fewer than ranks are repeated, not cut.
  @Test func fewKeyValueHeadsAreRepeated() throws {
    let found = try Self.findings(LoadedSample("gptq"), ranks: 4)
    #expect(found["VLLM-9"] == nil)
    #expect(found["VLLM-11"] == nil)
    #expect(found["VLLM-12"]?.names == ["model.layers.0.self_attn.o_proj"])
  }

  /// What can't be read is not judged by names it does not have.
  @Test func layoutWithoutRulesIsAWarning() throws {
    var sample = LoadedSample("gptq")
    sample.setAll(\.layout, "awq")
    #expect(try Self.findings(sample, ranks: 1)["VLLM-3"] == nil)
    #expect(Runtime.named("vllm")?.name == "vllm")
    #expect(Runtime.named("vLLM2") == nil)
  }

  /// What a peer made is accepted by the runtimes that load it.
  @Test(arguments: try Samples.all()) func goldensAreAccepted(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    let review = try RuntimeReview(of: checkpoint, for: Runtime.all, ranks: [1], threads: 2)
    let outcomes = Dictionary(
      uniqueKeysWithValues: review.verdicts.map { ($0.runtime, $0.outcome) })
    let scheme = try #require(checkpoint.config.scheme)
    let isMarlin =
      scheme.defaults.bits.nonzeroBitCount == 1 && scheme.defaults.bits > 2
      && scheme.defaults.symmetric
    #expect(outcomes["transformers"] == .accepted, "\(review.verdicts)")
    #expect(outcomes["sglang"] != .refused, "\(review.verdicts)")
    #expect((outcomes["vllm"] != .refused) == (scheme.layout == "awq" || isMarlin))
    #expect((outcomes["mlx"] != .refused) == (scheme.layout == "awq"))
    let isConverted =
      scheme.layout != "awq" && scheme.defaults.bits != 3
      && checkpoint.layers.allSatisfy { $0.parts["g_idx"] != nil }
    #expect((outcomes["llama.cpp"] != .refused) == isConverted)
  }
}
