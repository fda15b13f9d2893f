extension Architecture {
  /// GPT-2: learned positions, layer norms, fused projections, weights stored as [inputs, outputs].
  ///
  /// | role | tensors under `transformer.h.N.` |
  /// |---|---|
  /// | attention | `ln_1`; `attn.c_attn`, rows of queries, keys, values; `attn.c_proj` |
  /// | feed-forward | `ln_2`; `mlp.c_fc`; `mlp.c_proj` |
  /// | folds | norm → c_attn; values' rows → c_proj; norm → c_fc; none through GELU |
  /// | free order | the second c_proj's inputs: rows of c_fc |
  static let gpt2 = Architecture(
    ["GPT2LMHeadModel"], modelTypes: ["gpt2"], prefixes: ["transformer.", ""],
    landmark: "wte.weight"
  ) { source in try GPT2Decoder(source).blueprint() }
}

private struct GPT2Decoder {
  let source: ModelSource
  let hiddenSize: Int
  let heads: Int
  let headSize: Int
  let epsilon: Float

  private var config: ConfigFields { source.config }

  init(_ source: ModelSource) throws {
    let config = source.config
    self.source = source
    hiddenSize = try config.size("n_embd", config.size("hidden_size", 768))
    heads = try config.size("n_head", config.size("num_attention_heads", 12))
    headSize = try config.divide(hiddenSize, "n_embd", by: heads, "n_head")
    epsilon = Float(try config.number("layer_norm_epsilon", 1e-5))
  }

  func blueprint() throws -> Blueprint {
    let vocabulary = try config.size("vocab_size")
    let positions = try config.size(
      "n_positions", config.size("max_position_embeddings", config.size("n_ctx", 1024)))
    var embedding = EmbeddingPlan(
      tokens: LinearPlan(source.prefix + "wte", rows: vocabulary, columns: hiddenSize))
    embedding.positions = .init(
      table: LinearPlan(source.prefix + "wpe", rows: positions, columns: hiddenSize), offset: 0)
    let count = try config.blockCount(
      config.value("n_layer") == nil ? "num_hidden_layers" : "n_layer")
    return Blueprint(
      vocabularySize: vocabulary, hiddenSize: hiddenSize, maximumPositions: positions,
      embedding: embedding, blocks: try (0..<count).map(block),
      finalNorm: norm(source.prefix + "ln_f"),
      head: LinearPlan(source.headName, rows: vocabulary, columns: hiddenSize),
      isTied: try config.flag("tie_word_embeddings", true))
  }

  private func norm(_ name: String) -> NormPlan { .layer(name, hiddenSize, epsilon) }

  private func linear(_ name: String, _ rows: Int, _ columns: Int) -> LinearPlan {
    var plan = LinearPlan(name, rows: rows, columns: columns, hasBias: true)
    plan.isTransposed = true
    return plan
  }

  private func block(_ index: Int) throws -> BlockPlan {
    let name = "\(source.prefix)h.\(index)"
    let width = try config.size("n_inner", 4 * hiddenSize)
    var attention = AttentionPlan(
      name + ".attn", .fused(linear(name + ".attn.c_attn", 3 * hiddenSize, hiddenSize)),
      output: linear(name + ".attn.c_proj", hiddenSize, hiddenSize), heads: heads, kvHeads: heads,
      headSize: headSize)
    if try !config.flag("scale_attn_weights", true) { attention.scale = 1 }
    if try config.flag("scale_attn_by_inverse_layer_idx", false) {
      attention.scale /= Float(index + 1)
    }
    let feedForward = PlainPlan(
      up: linear(name + ".mlp.c_fc", width, hiddenSize),
      down: linear(name + ".mlp.c_proj", hiddenSize, width),
      activation: try config.activation(["activation_function"], "gelu_new"))
    return BlockPlan(
      name, attention, .plain(feedForward), named: name + ".mlp",
      attentionNorm: norm(name + ".ln_1"), feedForwardNorm: norm(name + ".ln_2"))
  }
}
