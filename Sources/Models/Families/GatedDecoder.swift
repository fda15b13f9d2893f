internal import Kernels
internal import TensorCore

/// What most families share, LLaMA's: RMS norms, rotary embeddings, queries that may share keys and values,
/// gated feed-forward. Families change what differs.
struct GatedDecoder {
  let source: ModelSource
  let hiddenSize: Int
  let heads: Int
  let kvHeads: Int
  let headSize: Int
  let blockCount: Int
  let epsilon: Float
  let activation: Activation
  var normsAreOffset = false
  var hasQueryKeyNorms = false
  var hasInputBias = false
  var hasOutputBias = false
  var hasFeedForwardBias = false

  var config: ConfigFields { source.config }

  init(
    _ source: ModelSource, headSize: Int? = nil, activation: String = "silu",
    epsilon: Double = 1e-6
  ) throws {
    let config = source.config
    self.source = source
    hiddenSize = try config.size("hidden_size")
    heads = try config.size("num_attention_heads")
    kvHeads = try config.size("num_key_value_heads", heads)
    _ = try config.divide(
      heads, "num_attention_heads", by: kvHeads, "num_key_value_heads")
    if let size = try config.optionalSize("head_dim") ?? headSize {
      self.headSize = size
    } else {
      self.headSize = try config.divide(
        hiddenSize, "hidden_size", by: heads, "num_attention_heads")
    }
    blockCount = try config.blockCount("num_hidden_layers")
    self.epsilon = Float(try config.number("rms_norm_eps", epsilon))
    self.activation = try config.activation(["hidden_activation", "hidden_act"], activation)
  }

  func blockName(_ index: Int) -> String { "\(source.prefix)layers.\(index)" }

  func norm(_ name: String, width: Int? = nil) -> NormPlan {
    .rms(name, width ?? hiddenSize, epsilon, isOffset: normsAreOffset)
  }

  /// q_proj, k_proj, v_proj and o_proj of a block.
  func attention(_ block: String) -> AttentionPlan {
    let name = block + ".self_attn"
    func input(_ part: String, _ heads: Int) -> LinearPlan {
      LinearPlan(
        "\(name).\(part)", rows: heads * headSize, columns: hiddenSize, hasBias: hasInputBias)
    }
    var plan = AttentionPlan(
      name,
      .separate(
        query: input("q_proj", heads), key: input("k_proj", kvHeads),
        value: input("v_proj", kvHeads)),
      output: output(name), heads: heads, kvHeads: kvHeads, headSize: headSize)
    plan.rope = 0
    if hasQueryKeyNorms {
      plan.queryNorm = norm(name + ".q_norm", width: headSize)
      plan.keyNorm = norm(name + ".k_norm", width: headSize)
    }
    return plan
  }

  func output(_ attention: String) -> LinearPlan {
    LinearPlan(
      attention + ".o_proj", rows: hiddenSize, columns: heads * headSize, hasBias: hasOutputBias)
  }

  /// gate_proj, up_proj and down_proj of a module, or what they are called.
  func feedForward(
    _ name: String, width: Int, gate: String = "gate_proj", up: String = "up_proj",
    down: String = "down_proj"
  ) -> GatedPlan {
    func linear(_ part: String, _ rows: Int, _ columns: Int) -> LinearPlan {
      LinearPlan(
        "\(name).\(part)", rows: rows, columns: columns, hasBias: hasFeedForwardBias)
    }
    return GatedPlan(
      name: name,
      projections: .separate(
        gate: linear(gate, width, hiddenSize), up: linear(up, width, hiddenSize)),
      down: linear(down, hiddenSize, width), activation: activation)
  }

  /// input_layernorm, attention, post_attention_layernorm, feed-forward.
  func block(
    _ name: String, _ attention: AttentionPlan, _ feedForward: FeedForwardPlan,
    named feedForwardName: String = "mlp"
  ) -> BlockPlan {
    BlockPlan(
      name, attention, feedForward, named: "\(name).\(feedForwardName)",
      attentionNorm: norm(name + ".input_layernorm"),
      feedForwardNorm: norm(name + ".post_attention_layernorm"))
  }

  /// A block with one feed-forward module, under `mlp`.
  func block(_ index: Int) throws -> BlockPlan {
    let name = blockName(index)
    let width = try config.size("intermediate_size")
    return block(
      name, attention(name), .gated(feedForward(name + ".mlp", width: width)))
  }

  /// Embedding, blocks, final norm and head.
  func blueprint(ropes: [RopePlan], tied: Bool = false, _ blocks: [BlockPlan]) throws -> Blueprint {
    let vocabulary = try config.size("vocab_size")
    return Blueprint(
      vocabularySize: vocabulary, hiddenSize: hiddenSize,
      maximumPositions: try config.optionalSize("max_position_embeddings"),
      embedding: EmbeddingPlan(
        tokens: LinearPlan(
          source.prefix + "embed_tokens", rows: vocabulary, columns: hiddenSize)),
      ropes: ropes, blocks: blocks, finalNorm: norm(source.prefix + "norm"),
      head: LinearPlan(source.headName, rows: vocabulary, columns: hiddenSize),
      isTied: try config.flag("tie_word_embeddings", tied))
  }

  /// The one rotary embedding of the config.
  func rope(base: Double = 10_000) throws -> RopePlan {
    try RopeFields(config, defaultBase: base).plan(headSize: headSize)
  }

  /// The blocks with a sliding window: those that `layer_types` names, or those that `fallback` says.
  func slidingBlocks(_ fallback: (Int) throws -> Bool) throws -> [Bool] {
    guard let types = try config.texts("layer_types") else {
      return try (0..<blockCount).map(fallback)
    }
    let known = ["sliding_attention", "full_attention"]
    guard types.count == blockCount, types.allSatisfy(known.contains) else {
      throw Failure(
        .malformed, at: config.path, "\"layer_types\" of the config",
        expected: "\(blockCount) of \(known.joined(separator: ", "))",
        found: "\(types.count): \(Set(types).sorted().joined(separator: ", "))")
    }
    return types.map { $0 == known[0] }
  }
}

extension ModelSource {
  /// The head stands beside the decoder, wherever that is.
  var headName: String {
    let candidates = ["lm_head", "language_model.lm_head"]
    return candidates.first { names.contains($0 + ".weight") } ?? candidates[0]
  }
}

extension ConfigFields {
  /// The count of blocks, small enough that a list of them is no burden.
  func blockCount(_ key: String) throws -> Int {
    let count = try size(key)
    guard count <= 4096 else {
      throw wrong(key, .integer(count), expected: "at most 4096 blocks")
    }
    return count
  }
}
