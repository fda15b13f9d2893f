internal import TensorCore

extension Architecture {
  /// Gemma 1: LLaMA's tensors; norms multiply by 1 + γ, embeddings are scaled, the head is tied.
  static let gemma = Architecture(["GemmaForCausalLM"], modelTypes: ["gemma"]) { source in
    let decoder = try GatedDecoder(gemma: source)
    return try decoder.gemmaBlueprint(
      ropes: [decoder.rope()], (0..<decoder.blockCount).map(decoder.block))
  }

  /// Gemma 2: norms of what is added, soft caps, every other block with a sliding window.
  ///
  /// | role | tensors under `model.layers.N.` |
  /// |---|---|
  /// | attention | `input_layernorm`; `self_attn.{q,k,v}_proj`; `self_attn.o_proj`; `post_attention_layernorm` |
  /// | feed-forward | `pre_feedforward_layernorm`; `mlp.{gate,up}_proj`; `mlp.down_proj`; `post_feedforward_layernorm` |
  /// | folds | norm → q, k, v; v → o; pre-feed-forward norm → gate, up; up → down; γ' = (1 + γ)/s − 1 |
  static let gemma2 = Architecture(["Gemma2ForCausalLM"], modelTypes: ["gemma2"]) { source in
    let decoder = try GatedDecoder(gemma: source)
    let softcap = try source.config.softcap("attn_logit_softcapping", 50)
    let slides = try decoder.slidingBlocks { $0 % 2 == 0 }
    let blocks = try decoder.sandwichBlocks(slides: slides, window: 4096).map { block in
      var block = block
      block.attention.softcap = softcap
      return block
    }
    var blueprint = try decoder.gemmaBlueprint(ropes: [decoder.rope()], blocks)
    blueprint.logitSoftcap = try source.config.softcap("final_logit_softcapping", 30)
    return blueprint
  }
}

extension GatedDecoder {
  /// With Gemma's defaults. `"gelu"` of old configs meant the approximation.
  init(gemma source: ModelSource) throws {
    var fields = source.config
    if fields.value("hidden_activation") == nil, fields.value("hidden_act")?.string == "gelu" {
      var object = fields.object
      object["hidden_act"] = "gelu_pytorch_tanh"
      fields = ConfigFields(object: object, path: fields.path)
    }
    let source = ModelSource(config: fields, prefix: source.prefix, names: source.names)
    try self.init(source, headSize: 256, activation: "gelu_pytorch_tanh")
    normsAreOffset = true
    hasInputBias = try config.flag("attention_bias", false)
    hasOutputBias = hasInputBias
    guard try !config.flag("use_bidirectional_attention", false) else {
      throw Failure(
        .unsupported, at: config.path, "attention that looks ahead is not a language model's",
        expected: "\"use_bidirectional_attention\" false", found: "true")
    }
  }

  func gemmaBlueprint(ropes: [RopePlan], _ blocks: [BlockPlan]) throws -> Blueprint {
    var blueprint = try blueprint(ropes: ropes, tied: true, blocks)
    blueprint.embedding.isScaled = true
    return blueprint
  }

  /// Blocks with norms before and after both modules.
  func sandwichBlocks(slides: [Bool], window: Int) throws -> [BlockPlan] {
    let window = try config.optionalSize("sliding_window") ?? window
    let scale = try config.number("query_pre_attn_scalar", 256)
    guard scale > 0 else {
      throw config.wrong("query_pre_attn_scalar", .real(scale), expected: "a number above 0")
    }
    let width = try config.size("intermediate_size")
    return slides.enumerated().map { index, slides in
      let name = blockName(index)
      var attention = attention(name)
      attention.scale = Float(power(scale, -0.5))
      attention.window = slides ? window : nil
      var block = BlockPlan(
        name, attention, .gated(feedForward(name + ".mlp", width: width)), named: name + ".mlp",
        attentionNorm: norm(name + ".input_layernorm"),
        feedForwardNorm: norm(name + ".pre_feedforward_layernorm"))
      block.attentionOutputNorm = norm(name + ".post_attention_layernorm")
      block.feedForwardOutputNorm = norm(name + ".post_feedforward_layernorm")
      return block
    }
  }
}

extension ConfigFields {
  /// A soft cap: null is none, an absent key the default.
  func softcap(_ key: String, _ fallback: Double?) throws -> Float? {
    guard let value = object[key] else { return fallback.map(Float.init) }
    return value.isNull ? nil : try optionalPositive(key).map(Float.init)
  }
}
