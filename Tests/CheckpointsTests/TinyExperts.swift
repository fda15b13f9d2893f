import TensorCore
import TestKit

/// A Mixtral of a few thousand weights: two blocks, 64 wide, four experts. Nearly all tokens go to the first two, those
/// of id 5 to the third as well, none to the fourth.
struct TinyExperts {
  static let blocks = 2
  static let vocabulary = 48

  private static let config = """
    {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "hidden_size": 64, \
    "intermediate_size": 64, "num_hidden_layers": \(blocks), "num_attention_heads": 2, \
    "num_key_value_heads": 1, "vocab_size": \(vocabulary), "rms_norm_eps": 1e-05, \
    "max_position_embeddings": 64, "rope_theta": 10000.0, "hidden_act": "silu", \
    "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": null, \
    "tie_word_embeddings": false, "dtype": "float16"}
    """

  static func write(to folder: String) throws {
    var random = SplitMix64(seed: 31)
    var model = Model()
    func add(
      _ name: String, _ dimensions: [Int], _ spread: Float, _ value: (Int) -> Float? = { _ in nil }
    ) {
      let count = dimensions.reduce(1, *)
      let values = (0..<count).map { value($0) ?? random.normal() * spread }
      let bytes = values.flatMap { value -> [UInt8] in
        let half = Float16(value).bitPattern
        return [UInt8(truncatingIfNeeded: half), UInt8(half >> 8)]
      }
      model.add(name, .f16, dimensions, bytes)
    }
    // Channel 0 is large for all tokens, channel 1 for one.
    add("model.embed_tokens.weight", [vocabulary, 64], 0.5) { index in
      index % 64 == 0 ? 4 : index % 64 == 1 ? (index / 64 == 5 ? 16 : 0) : nil
    }
    for block in 0..<blocks {
      let path = "model.layers.\(block)"
      for (name, rows) in [("q_proj", 64), ("k_proj", 32), ("v_proj", 32), ("o_proj", 64)] {
        add("\(path).self_attn.\(name).weight", [rows, 64], 0.03)
      }
      // What the router looks at is left alone by the experts and by attention.
      add("\(path).block_sparse_moe.gate.weight", [4, 64], 0.01) { index in
        let towards: [[Float]] = [[2, 0], [2, 0], [0, 8], [-4, 0]]
        return index % 64 < 2 ? towards[index / 64][index % 64] : nil
      }
      for expert in 0..<4 {
        let module = "\(path).block_sparse_moe.experts.\(expert)"
        for name in ["w1", "w2", "w3"] { add("\(module).\(name).weight", [64, 64], 0.05) }
      }
      for norm in ["input_layernorm", "post_attention_layernorm"] {
        add("\(path).\(norm).weight", [64], 0) { _ in 1 }
      }
    }
    add("model.norm.weight", [64], 0) { _ in 1 }
    add("lm_head.weight", [vocabulary, 64], 0.1)
    model.config = config
    try model.write(to: folder)
  }
}
