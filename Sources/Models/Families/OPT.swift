internal import TensorCore

extension Architecture {
  /// OPT, Meta's: learned positions, layer norms, ReLU, biases, a tied head.
  ///
  /// | role | tensors under `model.decoder.layers.N.` |
  /// |---|---|
  /// | attention | `self_attn_layer_norm`; `self_attn.{q,k,v}_proj` share its output; `self_attn.out_proj` |
  /// | feed-forward | `final_layer_norm`; `fc1`; `fc2` |
  /// | folds | norm → q, k, v; v → out; norm → fc1; fc1 → fc2; the norms' not where they follow (350m) |
  /// | free order | fc2's inputs: rows of fc1 |
  static let opt = Architecture(
    ["OPTForCausalLM"], modelTypes: ["opt"], prefixes: ["model.decoder.", "decoder.", ""]
  ) { source in try OPTDecoder(source).blueprint() }
}

private struct OPTDecoder {
  let source: ModelSource
  let hiddenSize: Int
  let heads: Int
  let headSize: Int
  let hasBias: Bool
  let normsAreAffine: Bool
  let isPreNorm: Bool

  private var config: ConfigFields { source.config }

  init(_ source: ModelSource) throws {
    let config = source.config
    self.source = source
    hiddenSize = try config.size("hidden_size")
    heads = try config.size("num_attention_heads")
    headSize = try config.divide(hiddenSize, "hidden_size", by: heads, "num_attention_heads")
    hasBias = try config.flag("enable_bias", true)
    normsAreAffine = try config.flag("layer_norm_elementwise_affine", true)
    isPreNorm = try config.flag("do_layer_norm_before", true)
  }

  func blueprint() throws -> Blueprint {
    let vocabulary = try config.size("vocab_size")
    let positions = try config.size("max_position_embeddings", 2048)
    let width = try config.size("word_embed_proj_dim", hiddenSize)
    let prefix = source.prefix
    let hasFinalNorm = try isPreNorm && !config.flag("_remove_final_layer_norm", false)
    var embedding = EmbeddingPlan(
      tokens: LinearPlan(prefix + "embed_tokens", rows: vocabulary, columns: width))
    embedding.positions = .init(
      table: LinearPlan(prefix + "embed_positions", rows: positions + 2, columns: hiddenSize),
      offset: 2)
    let isProjected = width != hiddenSize
    if isProjected {
      embedding.projectIn = LinearPlan(prefix + "project_in", rows: hiddenSize, columns: width)
    }
    return Blueprint(
      vocabularySize: vocabulary, hiddenSize: hiddenSize, maximumPositions: positions,
      embedding: embedding,
      blocks: try (0..<config.blockCount("num_hidden_layers")).map(block),
      finalNorm: hasFinalNorm ? norm(prefix + "final_layer_norm") : nil,
      projectOut: isProjected
        ? LinearPlan(prefix + "project_out", rows: width, columns: hiddenSize) : nil,
      head: LinearPlan(source.headName, rows: vocabulary, columns: width),
      isTied: try config.flag("tie_word_embeddings", true))
  }

  private func norm(_ name: String) -> NormPlan {
    .layer(name, hiddenSize, 1e-5, isAffine: normsAreAffine)
  }

  private func linear(_ name: String, _ rows: Int, _ columns: Int) -> LinearPlan {
    LinearPlan(name, rows: rows, columns: columns, hasBias: hasBias)
  }

  private func block(_ index: Int) throws -> BlockPlan {
    let name = "\(source.prefix)layers.\(index)"
    let width = try config.size("ffn_dim")
    func projection(_ part: String) -> LinearPlan {
      linear("\(name).self_attn.\(part)", hiddenSize, hiddenSize)
    }
    let attention = AttentionPlan(
      name + ".self_attn",
      .separate(
        query: projection("q_proj"), key: projection("k_proj"), value: projection("v_proj")),
      output: projection("out_proj"), heads: heads, kvHeads: heads, headSize: headSize)
    let feedForward = PlainPlan(
      up: linear(name + ".fc1", width, hiddenSize), down: linear(name + ".fc2", hiddenSize, width),
      activation: try config.activation(["activation_function"], "relu"))
    var block = BlockPlan(
      name, attention, .plain(feedForward), attentionNorm: norm(name + ".self_attn_layer_norm"),
      feedForwardNorm: norm(name + ".final_layer_norm"))
    block.isPostNorm = !isPreNorm
    return block
  }
}
