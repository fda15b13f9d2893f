extension Architecture {
  /// LLaMA 1 to 3 and Mistral.
  ///
  /// | role | tensors under `model.layers.N.` |
  /// |---|---|
  /// | attention | `input_layernorm`; `self_attn.{q,k,v}_proj` share its output; `self_attn.o_proj` |
  /// | feed-forward | `post_attention_layernorm`; `mlp.{gate,up}_proj` share its output; `mlp.down_proj` |
  /// | folds | norm → q, k, v; v → o unless queries share values; norm → gate, up; up → down |
  /// | free order | down's inputs: rows of gate and up |
  static let llama = Architecture(
    ["LlamaForCausalLM", "MistralForCausalLM"], modelTypes: ["llama", "mistral"]
  ) { source in
    var decoder = try GatedDecoder(source)
    let hasBias = try source.config.flag("attention_bias", false)
    decoder.hasInputBias = hasBias
    decoder.hasOutputBias = hasBias
    decoder.hasFeedForwardBias = try source.config.flag("mlp_bias", false)
    var blocks = try (0..<decoder.blockCount).map(decoder.block)
    if try source.isMistral {
      let window = try source.config.optionalSize("sliding_window")
      for index in blocks.indices { blocks[index].attention.window = window }
    }
    return try decoder.blueprint(ropes: [decoder.rope()], blocks)
  }
}

extension ModelSource {
  fileprivate var isMistral: Bool {
    get throws {
      if let type = try config.text("model_type") { return type == "mistral" }
      return try config.texts("architectures") == ["MistralForCausalLM"]
    }
  }
}
