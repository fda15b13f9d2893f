extension Architecture {
  /// Mixtral: Mistral's attention, and experts.
  ///
  /// | role | tensors under `model.layers.N.block_sparse_moe.` |
  /// |---|---|
  /// | router | `gate` |
  /// | experts | `experts.E.{w1,w3,w2}`: gate, up, down; newer: `mlp.experts.{gate_up,down}_proj` of all; mlx-lm: `switch_mlp` as Qwen's |
  /// | folds | norm → all w1 and w3, and the router; w3 → w2 of each expert |
  static let mixtral = Architecture(["MixtralForCausalLM"], modelTypes: ["mixtral"]) { source in
    let config = source.config
    let decoder = try GatedDecoder(source, epsilon: 1e-5)
    let count = try config.size("num_local_experts", 8)
    let width = try config.size("intermediate_size")
    let window = try config.optionalSize("sliding_window")
    let blocks = try (0..<decoder.blockCount).map { index in
      let name = decoder.blockName(index)
      let module = source.names.contains(name + ".mlp.gate.weight") ? "mlp" : "block_sparse_moe"
      let experts = try decoder.experts(
        "\(name).\(module)", count: count, width: width, normalizesShares: true, gate: "w1",
        up: "w3", down: "w2")
      var block = decoder.block(
        name, decoder.attention(name), .experts(experts), named: module)
      block.attention.window = window
      return block
    }
    return try decoder.blueprint(ropes: [decoder.rope(base: 1e6)], blocks)
  }
}
