import Kernels
import TensorCore
import Testing

@testable import Models

/// Configs, tensors and ids that do not fit each other.
@Suite struct BadModelTests {
  /// The failure of opening a model with changed config and weights.
  private func failure(
    _ config: JSONObject = TinyModel.llama, _ change: (inout TinyWeights) -> Void = { _ in }
  ) throws -> Failure? {
    var weights = try TinyWeights(TinyModel.llama)
    change(&weights)
    do {
      _ = try TinyModel.model(config, weights)
      return nil
    } catch let failure as Failure {
      return failure
    }
  }

  @Test func aGoodModelOpens() throws {
    #expect(try failure() == nil)
  }

  @Test func missingTensorsAreNamed() throws {
    let failure = try failure {
      $0.names.remove("model.layers.1.mlp.down_proj.weight")
    }
    #expect(failure?.kind == .malformed)
    #expect(failure?.details == ["model.layers.1.mlp.down_proj.weight"])
  }

  @Test func aMissingHeadIsOneUnlessTied() throws {
    var config = TinyModel.llama
    let missing = try failure { $0.names.remove("lm_head.weight") }
    #expect(missing?.details == ["lm_head.weight"])
    config["tie_word_embeddings"] = true
    #expect(try failure(config) { $0.names.remove("lm_head.weight") } == nil)
  }

  @Test func surplusBlocksAreNamed() throws {
    var config = TinyModel.llama
    config["num_hidden_layers"] = 1
    let failure = try failure(config)
    #expect(failure?.kind == .malformed)
    #expect(failure?.what.contains("surplus") == true)
    #expect(failure?.found == "9")
  }

  @Test(arguments: [true, false]) func aBiasOfZerosIsNone(_ isZero: Bool) throws {
    let failure = try failure {
      $0.names.insert("model.layers.0.self_attn.q_proj.bias")
      $0.vectors["model.layers.0.self_attn.q_proj.bias"] = [0, 0, 0, isZero ? 0 : 1]
    }
    #expect((failure == nil) == isZero)
  }

  @Test func otherSurplusIsAWarning() throws {
    var weights = try TinyWeights(TinyModel.llama)
    weights.names.formUnion([
      "vision.weight", "model.layers.0.self_attn.rotary_emb.inv_freq",
      "model.layers.0.self_attn.k_scale",
    ])
    let model = try TinyModel.model(TinyModel.llama, weights)
    #expect(
      model.warnings.compactMap(\.found) == [
        "model.layers.0.self_attn.k_scale", "vision.weight",
      ])
  }

  @Test func shapesThatDisagreeAreNamed() throws {
    let failure = try failure { $0.shapes["model.layers.0.mlp.up_proj.weight"] = (12, 9) }
    #expect(failure?.place.contains("model.layers.0.mlp.up_proj") == true)
    #expect(failure?.expected == "[12, 8]")
    #expect(failure?.found == "[12, 9]")
  }

  @Test func aVocabularySmallerThanTheEmbedding() throws {
    var config = TinyModel.llama
    config["vocab_size"] = 10
    let failure = try failure(config)
    #expect(failure?.place.contains("embed_tokens") == true)
    #expect(failure?.expected == "[10, 8]")
  }

  @Test(arguments: [
    ("hidden_size", JSON.integer(0)), ("num_attention_heads", .integer(3)),
    ("num_hidden_layers", .string("two")), ("num_hidden_layers", .integer(1 << 40)),
    ("num_key_value_heads", .integer(4)), ("rms_norm_eps", .bool(true)),
    ("hidden_act", "tanh"), ("head_dim", 3), ("rope_scaling", "linear"),
    ("rope_scaling", .object(JSONObject(["type": "cubic"]))),
    ("rope_scaling", .object(JSONObject(["type": "linear"]))),
    ("rope_theta", .integer(-1)), ("tie_word_embeddings", .integer(1)),
  ])
  func fieldsOfTheConfigAreChecked(_ field: (String, JSON)) throws {
    var config = TinyModel.llama
    config[field.0] = field.1
    let failure = try failure(config)
    #expect([.malformed, .unsupported].contains(failure?.kind), "\(field)")
  }

  @Test func idsOutOfRangeAreNamed() throws {
    let model = try TinyModel.model(TinyModel.llama, TinyWeights(TinyModel.llama))
    let state = try model.makeState(capacity: 4)
    for id: Int32 in [-1, 11] {
      let failure = #expect(throws: Failure.self) {
        try model.forward([3, id], state, logits: .last)
      }
      #expect(failure?.found == "\(id)")
      #expect(failure?.expected == "0 to 10")
    }
  }

  @Test(arguments: [TinyModel.llama, TinyModel.opt])
  func contextsHaveAnEnd(_ config: JSONObject) throws {
    let model = try TinyModel.model(config, TinyWeights(config))
    let failure = #expect(throws: Failure.self) { try model.makeState(capacity: 17) }
    #expect(failure?.kind == .usage)
    let state = try model.makeState(capacity: 2)
    _ = try model.forward([1, 2], state, logits: .none)
    #expect(throws: Failure.self) { try model.forward([3], state, logits: .none) }
    state.rewind()
    _ = try model.forward([1, 2], state, logits: .none)
  }

  @Test func lostNumbersAreTraced() throws {
    var weights = try TinyWeights(TinyModel.llama)
    weights.vectors["model.layers.1.input_layernorm.weight"]?[3] = .nan
    let model = try TinyModel.model(TinyModel.llama, weights)
    let failure = #expect(throws: Failure.self) {
      try model.forward([1, 2, 3], model.makeState(capacity: 3), logits: .last)
    }
    #expect(failure?.kind == .malformed)
    #expect(failure?.place.hasSuffix("model.layers.1") == true)
  }

  @Test func lostNumbersOfTheEndAreTraced() throws {
    var weights = try TinyWeights(TinyModel.llama)
    weights.vectors["model.norm.weight"]?[0] = .nan
    let model = try TinyModel.model(TinyModel.llama, weights)
    let failure = #expect(throws: Failure.self) {
      try model.forward([1], model.makeState(capacity: 3), logits: .all)
    }
    #expect(failure?.place.contains("final norm") == true)
  }
}
