import TensorCore
import TestKit

/// A LLaMA of a few thousand weights, drawn at random: three blocks, 64 wide, and a head of its own.
struct TinyModel {
  static let blocks = 3
  static let vocabulary = 48
  static let linears = 7

  static let config = """
    {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, \
    "intermediate_size": 128, "num_hidden_layers": \(blocks), "num_attention_heads": 2, \
    "num_key_value_heads": 1, "head_dim": 32, "vocab_size": \(vocabulary), "rms_norm_eps": 1e-05, \
    "max_position_embeddings": 64, "rope_theta": 10000.0, "hidden_act": "silu", \
    "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false, "dtype": "float16"}
    """

  private static let shapes: [(name: String, rows: Int, columns: Int)] = [
    ("self_attn.q_proj", 64, 64), ("self_attn.k_proj", 32, 64), ("self_attn.v_proj", 32, 64),
    ("self_attn.o_proj", 64, 64), ("mlp.gate_proj", 128, 64), ("mlp.up_proj", 128, 64),
    ("mlp.down_proj", 64, 128),
  ]

  static func write(to folder: String, seed: UInt64 = 7) throws {
    var random = SplitMix64(seed: seed)
    var model = Model()
    func halves(_ count: Int, _ spread: Float, around middle: Float = 0) -> [UInt8] {
      (0..<count).flatMap { _ -> [UInt8] in
        let sum = (0..<4).reduce(Float(0)) { sum, _ in
          sum + Float.random(in: -1...1, using: &random)
        }
        let half = Float16(middle + sum * spread).bitPattern
        return [UInt8(truncatingIfNeeded: half), UInt8(half >> 8)]
      }
    }
    model.add("model.embed_tokens.weight", .f16, [vocabulary, 64], halves(vocabulary * 64, 0.5))
    for block in 0..<blocks {
      let path = "model.layers.\(block)"
      for (name, rows, columns) in shapes {
        model.add("\(path).\(name).weight", .f16, [rows, columns], halves(rows * columns, 0.08))
      }
      for norm in ["input_layernorm", "post_attention_layernorm"] {
        model.add("\(path).\(norm).weight", .f16, [64], halves(64, 0.2, around: 1))
      }
    }
    model.add("model.norm.weight", .f16, [64], halves(64, 0.1, around: 1))
    model.add("lm_head.weight", .f16, [vocabulary, 64], halves(vocabulary * 64, 0.1))
    model.config = config
    model.others = ["tokenizer_config.json": "{}"]
    try model.write(to: folder)
  }
}
