internal import TensorCore

extension Architecture {
  /// Qwen 1.5 and 2 with experts.
  ///
  /// | role | tensors under `model.layers.N.mlp.` |
  /// |---|---|
  /// | router | `gate` |
  /// | experts | `experts.E.{gate,up,down}_proj`, or all in `experts.gate_up_proj`, `experts.down_proj`; mlx-lm: `switch_mlp.{gate,up,down}_proj` of all |
  /// | shared | `shared_expert.{gate,up,down}_proj`, its share `shared_expert_gate` |
  /// | folds | norm → all gates and ups, router and share; up → down of each expert |
  static let qwen2MoE = Architecture(
    ["Qwen2MoeForCausalLM"], modelTypes: ["qwen2_moe"]
  ) { source in
    var decoder = try GatedDecoder(source)
    decoder.hasInputBias = try source.config.flag("qkv_bias", true)
    let width = try source.config.size("shared_expert_intermediate_size")
    let blocks = try decoder.sparseBlocks(sharedWidth: width)
    return try decoder.blueprint(
      ropes: [decoder.rope()],
      decoder.withWindows(blocks) { index in
        try index % 2 == 0 && index < source.config.count("max_window_layers", 28)
      })
  }

  /// Qwen 3 with experts: Qwen 3's attention, no shared expert.
  static let qwen3MoE = Architecture(
    ["Qwen3MoeForCausalLM"], modelTypes: ["qwen3_moe"]
  ) { source in
    var decoder = try GatedDecoder(source)
    try decoder.takeQwen3Attention()
    let blocks = try decoder.sparseBlocks(sharedWidth: nil)
    return try decoder.blueprint(
      ropes: [decoder.rope()], decoder.withWindows(blocks) { _ in true })
  }
}

extension GatedDecoder {
  /// Blocks with experts, or one feed-forward module where `mlp_only_layers` and `decoder_sparse_step`
  /// say so.
  fileprivate func sparseBlocks(sharedWidth: Int?) throws -> [BlockPlan] {
    let step = try config.size("decoder_sparse_step", 1)
    let plain = Set(config.value("mlp_only_layers")?.array?.compactMap(\.int) ?? [])
    let count = try config.size("num_experts", config.size("num_local_experts", 60))
    return try (0..<blockCount).map { index in
      if plain.contains(index) || (index + 1) % step != 0 { return try block(index) }
      let name = blockName(index)
      return block(
        name, attention(name), .experts(try experts(name + ".mlp", count, sharedWidth)))
    }
  }

  private func experts(_ name: String, _ count: Int, _ sharedWidth: Int?) throws -> ExpertsPlan {
    var plan = try experts(
      name, count: count, width: config.size("moe_intermediate_size"),
      normalizesShares: config.flag("norm_topk_prob", false))
    if let sharedWidth {
      plan.shared = (
        feedForward(name + ".shared_expert", width: sharedWidth),
        LinearPlan(name + ".shared_expert_gate", rows: 1, columns: hiddenSize)
      )
    }
    return plan
  }

  /// Router `gate` and experts of a module, fused where the checkpoint has them so.
  func experts(
    _ name: String, count: Int, width: Int, normalizesShares: Bool, gate: String = "gate_proj",
    up: String = "up_proj", down: String = "down_proj"
  ) throws -> ExpertsPlan {
    let chosen = try config.size("num_experts_per_tok", 2)
    // More than any model has, and few enough that their names are no burden.
    let most = (1 << 17) / blockCount
    guard count <= most, chosen <= count else {
      throw Failure(
        .malformed, at: config.path, "the experts of the config",
        expected: "\"num_experts_per_tok\" of at most \(most) experts",
        found: "\(chosen) of \(count)")
    }
    let all = name + ".experts"
    let stacked = name + ".switch_mlp"
    let experts = (0..<count).map { index in
      let slice = LinearPlan.Slice(index: index, count: count)
      return if source.names.contains(all + ".gate_up_proj") {
        fusedExpert(all, slice, width: width)
      } else if source.names.contains(stacked + ".gate_proj.weight") {
        stackedExpert(stacked, slice, width: width)
      } else {
        feedForward("\(all).\(index)", width: width, gate: gate, up: up, down: down)
      }
    }
    return ExpertsPlan(
      name: name, router: LinearPlan(name + ".gate", rows: count, columns: hiddenSize),
      experts: experts, chosen: chosen, normalizesShares: normalizesShares)
  }

  /// An expert in tensors of all as mlx-lm has them: gate_proj and up_proj `[experts][width][hidden]`, down_proj
  /// `[experts][hidden][width]`.
  private func stackedExpert(
    _ name: String, _ slice: LinearPlan.Slice, width: Int
  ) -> GatedPlan {
    func linear(_ part: String, rows: Int, columns: Int) -> LinearPlan {
      LinearPlan(tensor: "\(name).\(part).weight", slice: slice, rows: rows, columns: columns)
    }
    return GatedPlan(
      name: "\(name)[\(slice.index)]",
      projections: .separate(
        gate: linear("gate_proj", rows: width, columns: hiddenSize),
        up: linear("up_proj", rows: width, columns: hiddenSize)),
      down: linear("down_proj", rows: hiddenSize, columns: width), activation: activation)
  }

  /// An expert in tensors of all: gate_up_proj `[experts][2 · width][hidden]`, down_proj
  /// `[experts][hidden][width]`.
  private func fusedExpert(
    _ name: String, _ slice: LinearPlan.Slice, width: Int
  ) -> GatedPlan {
    GatedPlan(
      name: "\(name)[\(slice.index)]",
      projections: .fused(
        LinearPlan(
          tensor: name + ".gate_up_proj", slice: slice, rows: 2 * width, columns: hiddenSize)),
      down: LinearPlan(
        tensor: name + ".down_proj", slice: slice, rows: hiddenSize, columns: width),
      activation: activation)
  }
}
