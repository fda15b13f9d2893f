import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/autoround.md`: which layout AutoRound's own configs speak of, and what its zero points
/// mean.
@Suite struct AutoRoundTests {
  private func scheme(_ more: String) throws -> Scheme? {
    let text = #"{"quant_method": "auto-round", \#(more)}"#
    let config = try #require(try JSON(parsing: Array(text.utf8), at: "test").object)
    let schemes = try Codecs.all.compactMap { try $0.scheme(from: config) }
    #expect(schemes.count <= 1)
    return schemes.first
  }

  /// The file gives no parts: its writer's weights decide.
  @Test(arguments: try Golden.fixtures("autoround"))
  func goldenHoldsItsWritersWeights(golden: Golden) throws {
    #expect(golden.codec.name == "gptq_v2")
    #expect(golden.scheme.writer == "auto-round:0.15.1")
    let name = "model.layers.0.self_attn.k_proj"
    let weights = try #require(golden.expected["dequant:\(name).weight"]).content()
    let layer = try golden.open(name)
    let matrix = try QuantizedMatrix(layer)
    #expect(mismatch(matrix.dequantized(), floats(of: weights), by: .sameBits) == nil)
    #expect(Set(matrix.zeros).count > 1)
    // Read as version 1 the same file gives other weights.
    let wrong = try Opened.layer(
      GPTQ.v1, golden.tensors, named: name,
      scheme: Scheme(layout: "gptq", defaults: golden.scheme.defaults), assume: .mask)
    #expect(
      try mismatch(QuantizedMatrix(wrong).dequantized(), floats(of: weights), by: .sameBits)
        != nil)
    try DecodeChecks.writesAlike(layer, GPTQ.v2)
  }

  @Test func formatsNameLayouts() throws {
    let layouts = [
      "auto_round": "gptq_v2", "auto_round:exllamav2": "gptq_v2", "auto_round:tritonv2": "gptq_v2",
      "auto_round:gptqmodel": "gptq_v2", "auto_round:auto_gptq": "gptq",
      "auto_round:gptq:exllamav2": "gptq", "auto_gptq": "gptq", "auto_round:auto_awq": "awq",
      "AUTO_ROUND:AUTO_AWQ": "awq",
    ]
    for (format, layout) in layouts {
      #expect(try scheme(#""packing_format": "\#(format)""#)?.layout == layout, "\(format)")
      #expect(try scheme(#""backend": "\#(format)""#)?.layout == layout, "\(format)")
    }
    #expect(try scheme(#""bits": 4"#)?.layout == "gptq_v2")
    for text in [
      #""packing_format": "auto_round:llm_compressor""#, #""data_type": "mx_fp""#,
      #""extra_config": {"a": {"data_type": "nv_fp"}}"#,
    ] {
      let failure = try #require(throws: Failure.self) { try scheme(text) }
      #expect(failure.kind == .unsupported)
      #expect(failure.rule == "AR-2")
    }
    for text in [#""packing_format": 7"#, #""extra_config": []"#, #""extra_config": {"a": 1}"#] {
      let failure = try #require(throws: Failure.self) { try scheme(text) }
      #expect(failure.rule == "AR-1")
    }
  }

  @Test func extraConfigs() throws {
    let scheme = try #require(
      try scheme(
        #"""
        "bits": 4, "group_size": 32, "sym": false, "block_name_to_quantize": "model.layers",
        "extra_config": {".*experts\\.[0-9]+\\.up.*": {"bits": 2},
          "model.layers.0.experts.1.up_proj": {"bits": 8, "group_size": -1, "sym": true},
          "model.layers.1.mlp.gate": {"bits": 16, "data_type": "int"}, "lm_head": {"bits": 4}}
        """#))
    let rules = scheme.rules()
    #expect(rules.settings(for: "model.layers.0.experts.1.up_proj")?.bits == 8)
    #expect(rules.settings(for: "model.layers.0.experts.2.up_proj")?.bits == 2)
    #expect(rules.settings(for: "model.layers.0.experts.2.up_proj")?.groupSize == 32)
    #expect(rules.settings(for: "model.layers.1.mlp.gate") == nil)
    #expect(rules.settings(for: "model.layers.1.mlp.up")?.symmetric == false)
    #expect(rules.settings(for: "lm_head")?.bits == 4)
    #expect(scheme.quantizesHead)
  }

  /// AR-4: a symmetric file shows itself whether its zero points are stored minus one.
  @Test(arguments: GPTQ.widths) func symmetricFilesDecideForThemselves(bits: Int) throws {
    var random = SplitMix64(seed: 11)
    let middle = UInt16(1 << (bits - 1))
    let numbers = Numbers.random(
      32, 64, bits: bits, groupSize: 32, zeros: middle...middle, using: &random)
    func zeros(
      _ tensors: [Tensor], symmetric: Bool = true, writer: String? = "auto-round:0.9"
    ) throws -> Set<UInt16> {
      let settings = Scheme.Settings(bits: bits, groupSize: 32, symmetric: symmetric)
      let scheme = Scheme(layout: "gptq_v2", defaults: settings, writer: writer)
      let layer = try Opened.layer(GPTQ.v2, tensors, named: "layer", scheme: scheme)
      return Set(try QuantizedMatrix(layer).zeros)
    }
    #expect(try zeros(numbers.gptqV2()) == [middle])
    #expect(try zeros(numbers.gptqV1()) == [middle])
    #expect(try zeros(numbers.gptqV1(), symmetric: false) == [middle - 1])
    #expect(try zeros(numbers.gptqV1(), writer: "gptqmodel:7") == [middle - 1])
    var mixed = numbers
    mixed.zeros[3] = middle + 1
    #expect(try zeros(mixed.gptqV1()) == [middle - 1, middle])
  }
}
