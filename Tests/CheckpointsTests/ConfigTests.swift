import Checkpoints
import Codecs
import TensorCore
import TestKit
import Testing

/// What becomes of configs, metadata and the files beside the weights.
@Suite struct ConfigTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  private func json(_ converted: Converted, _ name: String) throws -> JSON {
    try JSON(parsing: converted.files[name] ?? [], at: name)
  }

  @Test(arguments: ["gptq", "gptq_v2", "awq"])
  func modelConfigKeepsOrderAndSpelling(target: String) throws {
    let result = try Converted(Samples.demo, to: target)
    let before = try #require(result.source.config.model?.object)
    let after = try #require(try json(result, "config.json").object)
    #expect(after.keys == before.keys)
    for key in before.keys where key != "quantization_config" {
      #expect(after[key] == before[key], "\(key)")
    }
    let text = String(decoding: try result.files["config.json"] ?? [], as: UTF8.self)
    #expect(text.contains("\"rms_norm_eps\": 1e-05"))
    #expect(text.hasSuffix("}\n"))
    #expect(try json(result, "quantize_config.json") == after["quantization_config"])
    #expect(after["quantization_config"]?["quant_method"] == (target == "awq" ? "awq" : "gptq"))
    #expect(
      after["quantization_config"]?["checkpoint_format"]?.string
        == (target == "awq" ? "gemm" : target))
    #expect(after["quantization_config"]?["sym"] == (target == "awq" ? nil : false))
    // What described how the source was made is not true of the output.
    #expect(after["quantization_config"]?["meta"]?["damp_percent"] == nil)
  }

  /// Spellings that a parser of numbers would lose, and keys in no order.
  @Test func numbersKeepTheirSpelling() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.config = """
      {"z": 1e-05, "a": 10000.0, "big": 18446744073709551615, "minus": -0.0, "e": 1E+2,
       "quantization_config": {"bits": 4, "group_size": 32, "desc_act": false}, "last": "é\\n"}
      """
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: "awq")
    let after = try #require(try json(result, "config.json").object)
    #expect(after.keys == ["z", "a", "big", "minus", "e", "quantization_config", "last"])
    #expect(after["z"] == .number("1e-05"))
    #expect(after["a"] == .number("10000.0"))
    #expect(after["big"] == .number("18446744073709551615"))
    #expect(after["minus"] == .number("-0.0"))
    #expect(after["e"] == .number("1E+2"))
    #expect(after["last"] == .string("é\n"))
  }

  @Test func sideFilesAreCarried() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.config = Model.gptqConfig()
    model.others = [
      "tokenizer.json": "{}", "README.md": "card", "code/deep/model.py": "pass", "empty.txt": "",
      ".hidden": "x", "pytorch_model.bin": "old", "other.safetensors": "foreign",
      "quantize_config.json": #"{"bits": 4, "group_size": 32, "desc_act": false}"#,
    ]
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: "gptq_v2")
    #expect(
      result.plan.sideFiles.carried
        == ["README.md", "code/deep/model.py", "empty.txt", "tokenizer.json"])
    #expect(result.plan.sideFiles.left.map(\.path) == ["other.safetensors", "pytorch_model.bin"])
    let files = try result.files
    for path in result.plan.sideFiles.carried {
      #expect(files[path] == model.others[path].map { Array($0.utf8) }, "\(path)")
    }
    #expect(files[".hidden"] == nil)
    #expect(try json(result, "quantize_config.json")["checkpoint_format"] == "gptq_v2")
  }

  /// Without config.json there is still quantize_config.json, and the other way round.
  @Test func eitherConfigIsEnough() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.others = ["quant_config.json": #"{"bits": 4, "group_size": 32, "desc_act": false}"#]
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: "gptq_v2")
    #expect(try Set(result.files.keys) == ["model.safetensors", "quantize_config.json"])
    #expect(result.output.config.scheme?.layout == "gptq_v2")
  }

  @Test func metadataKeepsTiesAndFormat() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.addDense("model.embed.weight", [4, 8])
    model.config = Model.gptqConfig()
    model.metadata = [
      "format": "pt", "lm_head.weight": "model.embed.weight", "gptq_bits": "4", "note": "gone",
    ]
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: "awq")
    let metadata = try #require(result.output.tensors.files.first?.header.metadata)
    #expect(metadata.keys == ["format", "lm_head.weight"])
    #expect(metadata["lm_head.weight"] == "model.embed.weight")
  }

  /// The written config says of every matrix what it is: other group sizes, dense ones, the head.
  @Test func schemeFollowsTheTensors() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.addGPTQ("model.layers.1.q_proj")
    model.addGPTQ("model.layers.0.down_proj", groupSize: 16)
    model.addGPTQ("lm_head")
    model.addDense("model.layers.0.gate.weight", [8, 64])
    model.addDense("model.layers.0.norm.weight", [64])
    let dynamic = #"{"+:.*down_proj$": {"group_size": 16}, "-:.*\\.gate$": {}}"#
    model.config = Model.gptqConfig(more: #", "lm_head": true, "dynamic": \#(dynamic)"#)
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: "gptq_v2")
    #expect(result.source.findings.isEmpty, "\(result.source.findings)")
    #expect(result.output.findings.isEmpty, "\(result.output.findings)")
    let rules = try #require(result.plan.scheme).rules()
    #expect(rules.settings(for: "model.layers.0.q_proj")?.groupSize == 32)
    #expect(rules.settings(for: "model.layers.0.down_proj")?.groupSize == 16)
    #expect(rules.settings(for: "model.layers.0.gate") == nil)
    #expect(rules.settings(for: "lm_head") != nil)
    #expect(result.output.config.scheme?.quantizesHead == true)
    // AWQ has one group size for all.
    let failure = try #require(throws: Failure.self) {
      try ConversionPlan(result.source, ConversionOptions(target: "awq"))
    }
    #expect(failure.kind == .cannotRepresent)
    #expect(failure.rule == "AWQ-11")
  }

  /// Dense modules are named from their block on, unless a packed layer has such a name as well.
  @Test func denseModulesAreNamedForEveryLoader() throws {
    var model = Model()
    for layer in ["0.mlp.up_proj", "1.mlp.up_proj", "0.mlp.down_proj", "1.mlp.gate_proj"] {
      model.addGPTQ("model.layers.\(layer)")
    }
    for layer in ["0.mlp.router", "1.mlp.router", "1.mlp.down_proj", "0.mlp.gate"] {
      model.addDense("model.layers.\(layer).weight", [8, 64])
    }
    let dynamic = #"{"-:.*router$": {}, "-:.*1.mlp.down_proj$": {}, "-:.*gate$": {}}"#
    model.config = Model.gptqConfig(more: #", "dynamic": \#(dynamic)"#)
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: "awq")
    #expect(result.output.findings.isEmpty, "\(result.output.findings)")
    let config = result.output.config.quantization?.object
    #expect(
      config?["modules_to_not_convert"] == [
        "model.layers.0.mlp.gate", "mlp.router", "model.layers.1.mlp.down_proj",
      ])
    #expect(
      config?["dynamic"] == [
        #"-:model\.layers\.0\.mlp\.gate$"#: [:], #"-:.*mlp\.router"#: [:],
        #"-:model\.layers\.1\.mlp\.down_proj$"#: [:],
      ])
  }

  /// Whoever quantized stays named through any number of conversions.
  @Test func quantizerStaysNamed() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.config = Model.gptqConfig(more: #", "meta": {"quantizer": ["GPTQModel:7.7.0"]}"#)
    try model.write(to: folder.path("in"))
    let there = try Converted(folder.path("in"), to: "awq")
    #expect(there.output.config.scheme?.writer == "nibble:\(Release.version)")
    #expect(there.output.config.scheme?.quantizer == "gptqmodel:7.7.0")
    let back = try Converted(there.path, to: "gptq")
    let names: JSON = [.string("nibble:\(Release.version)"), "gptqmodel:7.7.0"]
    #expect(back.output.config.quantization?.object["meta"]?["quantizer"] == names)
  }

  /// A group size above the number of columns becomes what it means.
  @Test(arguments: ["gptq", "gptq_v2", "awq"])
  func widerGroupsThanTheLayerConvert(target: String) throws {
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj", groupSize: 64)
    model.config = Model.gptqConfig(groupSize: 128)
    try model.write(to: folder.path("in"))
    let result = try Converted(folder.path("in"), to: target)
    #expect(result.plan.scheme?.defaults.groupSize == -1)
    #expect(result.report.layers.allSatisfy { $0.isEqual })
  }

  @Test func nothingToConvertIsSaid() throws {
    var model = Model()
    model.addDense("model.layers.0.q_proj.weight", [32, 64])
    model.config = #"{"model_type": "llama"}"#
    try model.write(to: folder.path("in"))
    let source = try Checkpoint(opening: folder.path("in"))
    #expect(source.findings.isEmpty)
    let failure = try #require(throws: Failure.self) {
      try ConversionPlan(source, ConversionOptions(target: "awq"))
    }
    #expect(failure.kind == .unsupported)
  }
}
