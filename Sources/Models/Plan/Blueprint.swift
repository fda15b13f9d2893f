/// A decoder-only model as its config describes it: all that a forward pass needs to know, and the
/// name and shape of every tensor.
public struct Blueprint: Sendable {
  public let vocabularySize: Int
  public let hiddenSize: Int
  /// Positions the model was made for; nil where nothing says.
  public var maximumPositions: Int?
  public var embedding: EmbeddingPlan
  public var ropes: [RopePlan] = []
  public var blocks: [BlockPlan]
  public var finalNorm: NormPlan?
  /// OPT: from the hidden size back to the embedding's.
  public var projectOut: LinearPlan?
  public var head: LinearPlan
  /// Whether the head is the embedding where it has no tensor of its own.
  public var isTied: Bool
  public var logitSoftcap: Float?

  /// Bases that lead on to longer contexts have no last position.
  var hasLastPosition: Bool { !ropes.contains(where: \.isDynamic) }
}

public struct EmbeddingPlan: Sendable {
  /// Learned positions: position p is row p + offset.
  public struct Positions: Sendable {
    public let table: LinearPlan
    public let offset: Int
  }

  /// `[vocabulary][width]`.
  public let tokens: LinearPlan
  public var positions: Positions?
  /// OPT: from the embedding's width to the hidden size.
  public var projectIn: LinearPlan?
  /// Whether embeddings are multiplied by the square root of the hidden size, rounded to the type of the
  /// table.
  public var isScaled = false
}

/// One decoder block: attention and feed-forward, each added to what came in.
public struct BlockPlan: Sendable {
  /// The module's path.
  public let name: String
  public var attention: AttentionPlan
  public let feedForward: FeedForwardPlan
  /// The feed-forward module's path; the block's where it has none (OPT).
  public let feedForwardName: String
  public var attentionNorm: NormPlan
  public var feedForwardNorm: NormPlan
  /// Norms of what is added (Gemma 2 and 3).
  public var attentionOutputNorm: NormPlan?
  public var feedForwardOutputNorm: NormPlan?
  /// Whether the norms follow the additions instead of preceding the modules (OPT-350m).
  public var isPostNorm = false
  /// Whether scales may be moved from the attention's norm into its linear layers; not where queries and
  /// keys are normalized anew and it was measured worse than rounding (Gemma 3).
  public var foldsAttentionNorm = true

  init(
    _ name: String, _ attention: AttentionPlan, _ feedForward: FeedForwardPlan,
    named feedForwardName: String? = nil, attentionNorm: NormPlan, feedForwardNorm: NormPlan
  ) {
    self.name = name
    self.attention = attention
    self.feedForward = feedForward
    self.feedForwardName = feedForwardName ?? name
    self.attentionNorm = attentionNorm
    self.feedForwardNorm = feedForwardNorm
  }

  var norms: [NormPlan] {
    [
      attentionNorm, attentionOutputNorm, feedForwardNorm, feedForwardOutputNorm,
      attention.queryNorm, attention.keyNorm,
    ].compactMap(\.self)
  }

  /// Linear layers that share an input, in order of execution.
  public var inputGroups: [[LinearPlan]] {
    [attention.inputs, [attention.output]] + feedForward.inputGroups
  }

  /// All matrices of the block, those that stay dense last.
  public var linears: [LinearPlan] { inputGroups.flatMap(\.self) + feedForward.routers }

  public var tensorNames: [String] {
    linears.flatMap(\.tensorNames) + norms.flatMap(\.tensorNames)
  }
}
