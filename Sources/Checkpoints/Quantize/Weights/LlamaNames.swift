/// Names that llama.cpp gives to the weights of linear layers (IM-6), for paths of modules whose end says what they
/// are. Permutations and shifts of its converter are of outputs and norms; inputs stay in their order.
enum LlamaNames {
  /// A weight, and which of the matrices in it where there are experts.
  struct Weight: Hashable {
    let name: String
    var expert: Int?
  }

  /// What the module of that path may be called, the likeliest first; nothing where its name says too little.
  static func weights(of module: String) -> [Weight] {
    if LinearModules.isHead(module) { return [Weight(name: "output.weight")] }
    let parts = module.split(separator: ".")
    guard let place = parts.firstIndex(where: { Int($0) != nil }), let block = Int(parts[place])
    else { return [] }
    let rest = parts[(place + 1)...]
    if let name = layers[rest.joined(separator: ".")] {
      return [Weight(name: "blk.\(block).\(name).weight")]
    }
    guard rest.count == 4, rest[rest.startIndex + 1] == "experts",
      let expert = Int(rest[rest.startIndex + 2]), expert >= 0,
      let name = rest.last.flatMap({ experts[String($0)] })
    else { return [] }
    return [
      Weight(name: "blk.\(block).\(name)_exps.weight", expert: expert),
      Weight(name: "blk.\(block).\(name).\(expert).weight"),
    ]
  }

  private static let experts = [
    "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
    "w1": "ffn_gate", "w3": "ffn_up", "w2": "ffn_down",
  ]

  private static let layers = [
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.out_proj": "attn_output",
    "self_attn.dense": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
    "fc1": "ffn_up", "fc2": "ffn_down",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "attention.query_key_value": "attn_qkv", "attention.dense": "attn_output",
    "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
  ]
}
