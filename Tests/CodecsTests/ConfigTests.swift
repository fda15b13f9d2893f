import Codecs
import TensorCore
import Testing

/// The dialects of `quantization_config` (GPTQ-20 to GPTQ-25, AWQ-10 to AWQ-13).
@Suite struct ConfigTests {
  private func config(_ text: String) throws -> JSONObject {
    try #require(try JSON(parsing: Array(text.utf8), at: "test").object)
  }

  private func scheme(_ text: String) throws -> Scheme? {
    let config = try config(text)
    let schemes = try Codecs.all.compactMap { try $0.scheme(from: config) }
    #expect(schemes.count <= 1)
    return schemes.first
  }

  @Test(
    arguments: Codecs.writable.map(\.name).filter {
      !["mlx", "compressed-tensors", "bnb-4bit", "bnb-int8"].contains($0)
    })
  func whatIsWrittenIsRead(layout: String) throws {
    let codec = try #require(Codecs.named(layout))
    let settings = Scheme.Settings(bits: 4, groupSize: 64, symmetric: false)
    var scheme = Scheme(
      layout: layout, defaults: settings, quantizesHead: true, writer: "nibble:0.1.0")
    #expect(try codec.scheme(from: codec.config(for: scheme)) == scheme)
    scheme.defaults.groupSize = -1
    scheme.quantizesHead = false
    scheme.writer = nil
    #expect(try codec.scheme(from: codec.config(for: scheme)) == scheme)
  }

  @Test(arguments: [GPTQ.v1, .v2]) func overridesSurviveGPTQ(codec: GPTQ) throws {
    let settings = Scheme.Settings(bits: 4, groupSize: 64, symmetric: true, actOrder: true)
    let other = Scheme.Settings(bits: 8, groupSize: -1, symmetric: false)
    let scheme = Scheme(
      layout: codec.name, defaults: settings,
      overrides: [
        .init(.exactly("model.layers.1.mlp.gate"), nil),
        .init(.regex(try NamePattern(#".*\.down_proj$"#, at: "test")), other),
        .init(.contains("experts.0(+)"), settings),
      ])
    let read = try #require(try codec.scheme(from: codec.config(for: scheme)))
    #expect(read.overrides.map(\.settings) == scheme.overrides.map(\.settings))
    let rules = read.rules()
    #expect(rules.settings(for: "model.layers.1.mlp.gate") == nil)
    #expect(rules.settings(for: "model.layers.1.mlp.gate_proj") == settings)
    #expect(rules.settings(for: "model.layersX1.mlp.gate") == settings)
    #expect(rules.settings(for: "model.layers.1.mlp.down_proj") == other)
    #expect(rules.mentions("x.experts.0(+).y"))
    #expect(!rules.mentions("x.experts.00.y"))
  }

  @Test func modulesLeftDenseSurviveAWQ() throws {
    let settings = Scheme.Settings(bits: 4, groupSize: 64, symmetric: false)
    let scheme = Scheme(
      layout: "awq", defaults: settings, overrides: [.init(.exactly("model.layers.1.gate"), nil)])
    let config = try AWQ().config(for: scheme)
    #expect(config["modules_to_not_convert"] == ["model.layers.1.gate"])
    #expect(config["dynamic"] == [#"-:model\.layers\.1\.gate$"#: [:]])
    let rules = try #require(try AWQ().scheme(from: config)).rules()
    #expect(rules.settings(for: "model.layers.1.gate") == nil)
    #expect(rules.settings(for: "model.layers.1.up") == settings)
    let failure = try #require(throws: Failure.self) {
      try AWQ().config(
        for: Scheme(layout: "awq", defaults: settings, overrides: [.init(.contains("x"), settings)])
      )
    }
    #expect(failure.rule == "AWQ-11")
    #expect(failure.kind == .cannotRepresent)
  }

  /// What is not said has the value that loaders take.
  @Test func defaults() throws {
    let gptq = try #require(try scheme(#"{"quant_method": "gptq"}"#))
    #expect(gptq.layout == "gptq")
    #expect(gptq.defaults == .init(bits: 4, groupSize: 128, symmetric: true))
    #expect(!gptq.quantizesHead)
    #expect(gptq.writer == nil)
    let awq = try #require(try scheme(#"{"quant_method": "awq"}"#))
    #expect(awq.defaults == .init(bits: 4, groupSize: 128, symmetric: false))
    // AutoGPTQ's first files name no method.
    #expect(
      try scheme(#"{"bits": 8, "group_size": -1, "desc_act": true}"#)?.defaults
        == .init(bits: 8, groupSize: -1, symmetric: true, actOrder: true))
    #expect(try scheme(#"{"bits": 8}"#) == nil)
    #expect(try scheme(#"{"quant_method": "quanto", "bits": 4, "desc_act": false}"#) == nil)
  }

  @Test func synonymsAndNulls() throws {
    #expect(
      try scheme(
        #"{"quant_method": "GPTQ", "wbits": 3, "q_group_size": 32, "format": "GPTQ_V2"}"#)
        == Scheme(
          layout: "gptq_v2", defaults: .init(bits: 3, groupSize: 32, symmetric: true)))
    #expect(
      try scheme(
        #"{"method": "awq", "bits": null, "w_bit": 4, "q_group_size": 64, "version": "GEMM"}"#)?
        .defaults == .init(bits: 4, groupSize: 64, symmetric: false))
    #expect(try scheme(#"{"quant_method": "gptq", "dynamic": null}"#)?.overrides.isEmpty == true)
    #expect(
      try scheme(#"{"quant_method": "awq", "zero_point": false}"#)?.defaults.symmetric == true)
    #expect(try scheme(#"{"quant_method": "awq", "sym": true}"#)?.defaults.symmetric == true)
  }

  @Test func writerIsRead() throws {
    let cases = [
      #""meta": {"quantizer": ["GPTQModel:7.7.0"]}"#: "gptqmodel:7.7.0",
      #""meta": {"quantizer": "gptqmodel:1.0"}"#: "gptqmodel:1.0",
      #""autoround_version": "0.15.1""#: "auto-round:0.15.1",
      #""meta": {"quantizer": 7}"#: nil, #""meta": "x""#: nil,
    ]
    for (text, writer) in cases {
      for method in ["gptq", "awq"] {
        #expect(try scheme(#"{"quant_method": "\#(method)", \#(text)}"#)?.writer == writer)
      }
    }
  }

  /// `dynamic` in its order: the first expression that matches from the start of the name wins.
  @Test func firstMatchWins() throws {
    let text = #"""
      {"quant_method": "gptq", "bits": 4, "dynamic": {
        "-:model\\.layers\\.1\\.": {}, "+:.*gate.*": {"bits": 8}, ".*_proj": {"group_size": -1},
        "layers": {"bits": 2}}}
      """#
    let rules = try #require(try scheme(text)).rules()
    #expect(rules.settings(for: "model.layers.1.gate_proj") == nil)
    #expect(rules.settings(for: "model.layers.2.gate_proj")?.bits == 8)
    #expect(rules.settings(for: "model.layers.2.gate_proj")?.groupSize == 128)
    #expect(rules.settings(for: "model.layers.2.up_proj")?.groupSize == -1)
    // Not at the start of the name.
    #expect(rules.settings(for: "model.layers.2.norm")?.bits == 4)
    #expect(!rules.mentions("model.layers.2.norm"))
    #expect(rules.settings(for: "lm_head") == nil)
  }
}
