internal import TensorCore

extension Architecture {
  /// Gemma 3's text model, alone or inside of the one that sees: Gemma 2's tensors without soft caps, norms of
  /// queries and keys, and two rotary embeddings, of blocks with and without a sliding window.
  ///
  /// No scales are moved from the attention's norm: the norms of queries and keys make it worse than rounding.
  static let gemma3 = Architecture(
    ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"], modelTypes: ["gemma3_text", "gemma3"],
    prefixes: ["model.", "language_model.model.", "model.language_model.", ""]
  ) { source in
    let source = try source.textModel()
    var decoder = try GatedDecoder(gemma: source)
    decoder.hasQueryKeyNorms = true
    let pattern = try source.config.size("sliding_window_pattern", 6)
    let slides = try decoder.slidingBlocks { ($0 + 1) % pattern != 0 }
    let softcap = try source.config.softcap("attn_logit_softcapping", nil)
    let blocks = try decoder.sandwichBlocks(slides: slides, window: 4096).enumerated().map {
      index, block in
      var block = block
      block.attention.softcap = softcap
      block.attention.rope = slides[index] ? 1 : 0
      block.foldsAttentionNorm = false
      return block
    }
    var blueprint = try decoder.gemmaBlueprint(ropes: decoder.twoRopes(), blocks)
    blueprint.logitSoftcap = try source.config.softcap("final_logit_softcapping", nil)
    return blueprint
  }
}

extension ModelSource {
  /// The text model's part of a config; sizes that it leaves out are the family's.
  fileprivate func textModel() throws -> ModelSource {
    let inner = try config.nested("text_config")
    var object = (inner ?? config).object
    let defaults: KeyValuePairs<String, JSON> = [
      "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216,
      "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
      "max_position_embeddings": 131_072,
    ]
    if inner != nil {
      for (key, value) in defaults where object[key] == nil { object[key] = value }
    }
    let fields = ConfigFields(object: object, path: (inner ?? config).path)
    return ModelSource(config: fields, prefix: prefix, names: names)
  }
}

extension GatedDecoder {
  /// The embedding of blocks that see all, then that of blocks with a window.
  fileprivate func twoRopes() throws -> [RopePlan] {
    if let parameters = try config.nested("rope_parameters"), config.value("rope_scaling") == nil {
      return try [("full_attention", 1e6), ("sliding_attention", 1e4)].map { key, base in
        let fields =
          try parameters.nested(key) ?? ConfigFields(object: JSONObject(), path: config.path)
        return try RopeFields(fields, of: config.without("rope_theta"), defaultBase: base)
          .plan(headSize: headSize)
      }
    }
    let full = try RopeFields(config, defaultBase: 1e6).plan(headSize: headSize)
    let local = RopePlan(
      base: try config.optionalPositive("rope_local_base_freq") ?? 1e4, width: headSize,
      scaling: .none)
    return [full, local]
  }
}

extension ConfigFields {
  fileprivate func without(_ key: String) -> ConfigFields {
    var object = object
    object[key] = nil
    return ConfigFields(object: object, path: path)
  }
}
