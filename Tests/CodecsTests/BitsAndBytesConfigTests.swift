import TensorCore
import TestKit
import Testing

@testable import Codecs

/// The config of bitsandbytes in both directions.
@Suite struct BitsAndBytesConfigTests {
  private func object(_ text: String) throws -> JSONObject {
    try #require(try JSON(parsing: Array(text.utf8), at: "test").object)
  }

  private func scheme(_ text: String) throws -> Scheme? {
    let config = try object(text)
    let found = try [BitsAndBytes() as any Codec, BitsAndBytesInt8()].compactMap {
      try $0.scheme(from: config)
    }
    #expect(found.count <= 1)
    return found.first
  }

  private func rule(_ text: String) throws -> String? {
    do {
      _ = try scheme(#"{"quant_method": "bitsandbytes", "# + text + "}")
      return nil
    } catch let failure as Failure {
      return failure.rule
    }
  }

  @Test(arguments: try Golden.fixtures("bitsandbytes")) func goldensAreWrittenAsTheyWere(
    golden: Golden
  ) throws {
    let bytes = try FileSystem.contents(of: golden.path + "/config.json", limit: 1 << 20)
    let config = try #require(try JSON(parsing: bytes, at: golden.path)["quantization_config"])
    let written = try golden.codec.config(for: golden.scheme)
    #expect(Set(written.keys) == Set(config.object?.keys ?? []))
    for key in written.keys { #expect(written[key] == config[key], "\(key)") }
  }

  @Test func widths() throws {
    #expect(
      try scheme(#"{"quant_method": "bitsandbytes", "load_in_4bit": true}"#)?.layout == "bnb-4bit")
    #expect(
      try scheme(#"{"quant_method": "bitsandbytes", "load_in_8bit": true}"#)?.layout == "bnb-int8")
    #expect(try scheme(#"{"load_in_8bit": true}"#)?.layout == "bnb-int8")
    #expect(
      try scheme(#"{"quant_method": "bitsandbytes", "_load_in_4bit": true}"#)?.defaults.bits == 4)
    #expect(try scheme(#"{"quant_method": "gptq", "load_in_4bit": true}"#) == nil)
    #expect(try scheme("{}") == nil)
    #expect(try rule(#""load_in_4bit": false"#) == "BNB-31")
    #expect(try rule(#""load_in_4bit": true, "load_in_8bit": true"#) == "BNB-31")
  }

  @Test func typesAndNames() throws {
    let wide = #""load_in_4bit": true, "#
    #expect(try rule(#""load_in_4bit": 1"#) == "BNB-30")
    #expect(try rule(wide + #""bnb_4bit_quant_type": 4"#) == "BNB-30")
    #expect(try rule(wide + #""bnb_4bit_quant_type": "af4""#) == "BNB-31")
    #expect(try rule(wide + #""bnb_4bit_compute_dtype": "float8""#) == "BNB-31")
    #expect(try rule(wide + #""bnb_4bit_quant_storage": "int32""#) == "BNB-31")
    #expect(try rule(wide + #""bnb_4bit_use_double_quant": "yes""#) == "BNB-30")
    #expect(try rule(wide + #""llm_int8_threshold": "6""#) == "BNB-30")
    #expect(try rule(wide + #""llm_int8_skip_modules": "lm_head""#) == "BNB-30")
    #expect(try rule(wide + #""llm_int8_skip_modules": [1]"#) == "BNB-30")
    #expect(try rule(wide + #""bnb_4bit_compute_dtype": null, "llm_int8_threshold": 5"#) == nil)
  }

  /// As transformers skips: from the start up to a dot, as an expression, or as an end of the name.
  @Test func skippedModules() throws {
    func rules(_ list: String) throws -> SchemeRules {
      try #require(
        try scheme(
          #"{"quant_method": "bitsandbytes", "load_in_8bit": true, "llm_int8_skip_modules": \#(list)}"#
        )
      ).rules()
    }
    let none = try rules("null")
    #expect(none.settings(for: "lm_head") == nil)
    #expect(none.settings(for: "model.layers.0.mlp.up_proj") != nil)
    let empty = try rules("[]")
    #expect(empty.settings(for: "lm_head") != nil)
    let some = try rules(#"["lm_head", "model.layers.1", "gate", "vision.*", "bad(", "a."]"#)
    #expect(some.settings(for: "lm_head") == nil)
    #expect(some.settings(for: "model.layers.1.mlp.up_proj") == nil)
    #expect(some.settings(for: "model.layers.11.mlp.up_proj") != nil)
    #expect(some.settings(for: "model.layers.0.mlp.gate") == nil)
    #expect(some.settings(for: "model.layers.0.mlp.gate_proj") != nil)
    #expect(some.settings(for: "vision_tower.blocks.3.fc1") == nil)
    #expect(some.settings(for: "a.b") == nil)
  }

  @Test func configsOfOthers() throws {
    var scheme = Scheme(
      layout: "bnb-int8", defaults: .init(bits: 8, groupSize: -1, symmetric: true))
    let plain = try BitsAndBytesInt8().config(for: scheme)
    #expect(plain["load_in_8bit"] == true)
    #expect(plain["load_in_4bit"] == false)
    #expect(plain["llm_int8_skip_modules"] == .null)
    #expect(plain["llm_int8_threshold"] == .number("6.0"))
    #expect(plain["quant_method"] == "bitsandbytes")
    scheme.overrides = [.init(.contains("mlp.gate"), nil)]
    let dense = try BitsAndBytesInt8().config(for: scheme)
    #expect(dense["llm_int8_skip_modules"] == ["mlp.gate", "lm_head"])
    scheme.quantizesHead = true
    let head = try BitsAndBytesInt8().config(for: scheme)
    #expect(head["llm_int8_skip_modules"] == ["mlp.gate"])
  }

  /// What the config says and loaders believe, though the tensors say otherwise.
  @Test func disagreements() throws {
    var random = SplitMix64(seed: 5)
    let sample = FlatLayer(rows: 32, columns: 64, blockSize: 64, kind: .nf4, isNested: false)
    let table = TensorTable(try sample.made(using: &random).tensors)
    func rules(_ text: String) throws -> [String?] {
      let scheme = try #require(try scheme(#"{"load_in_4bit": true\#(text)}"#))
      let declared = Declared(scheme: scheme, settings: scheme.defaults)
      return try BitsAndBytes().claims("layer", in: table, declared: declared)[0].findings.map {
        #expect($0.severity == .warning)
        return $0.failure.rule
      }
    }
    #expect(try rules(#", "bnb_4bit_quant_type": "nf4""#).isEmpty)
    #expect(try rules("") == ["BNB-32"])
    #expect(
      try rules(#", "bnb_4bit_quant_type": "nf4", "bnb_4bit_quant_storage": "bfloat16""#)
        == ["BNB-32"])
  }
}
