extension Architecture {
  /// Phi-3 and 3.5: LLaMA with fused projections.
  ///
  /// | role | tensors under `model.layers.N.` |
  /// |---|---|
  /// | attention | `input_layernorm`; `self_attn.qkv_proj`, rows of queries, keys, values; `self_attn.o_proj` |
  /// | feed-forward | `post_attention_layernorm`; `mlp.gate_up_proj`, rows of gate, then up; `mlp.down_proj` |
  /// | folds | norm → qkv; values' rows → o; norm → gate_up; up's rows → down |
  static let phi3 = Architecture(["Phi3ForCausalLM"], modelTypes: ["phi3"]) { source in
    let decoder = try GatedDecoder(source, epsilon: 1e-5)
    let width = try source.config.size("intermediate_size")
    let window = try source.config.optionalSize("sliding_window")
    let blocks = (0..<decoder.blockCount).map { index in
      let name = decoder.blockName(index)
      var attention = decoder.fusedAttention(name + ".self_attn")
      attention.window = window
      return decoder.block(name, attention, .gated(decoder.fusedGate(name + ".mlp", width)))
    }
    return try decoder.blueprint(ropes: [decoder.rope()], blocks)
  }
}

extension GatedDecoder {
  fileprivate func fusedAttention(_ name: String) -> AttentionPlan {
    let fused = LinearPlan(
      name + ".qkv_proj", rows: (heads + 2 * kvHeads) * headSize, columns: hiddenSize)
    var plan = AttentionPlan(
      name, .fused(fused), output: output(name), heads: heads, kvHeads: kvHeads,
      headSize: headSize)
    plan.rope = 0
    return plan
  }

  fileprivate func fusedGate(_ name: String, _ width: Int) -> GatedPlan {
    GatedPlan(
      name: name,
      projections: .fused(
        LinearPlan(name + ".gate_up_proj", rows: 2 * width, columns: hiddenSize)),
      down: LinearPlan(name + ".down_proj", rows: hiddenSize, columns: width),
      activation: activation)
  }
}
