/// Causal attention of one block.
public struct AttentionPlan: Sendable {
  public enum Projections: Sendable {
    case separate(query: LinearPlan, key: LinearPlan, value: LinearPlan)
    /// Rows of queries, then keys, then values.
    case fused(LinearPlan)
  }

  /// The module's path.
  public let name: String
  public let projections: Projections
  public let output: LinearPlan
  public let heads: Int
  public let kvHeads: Int
  public let headSize: Int
  /// What products of queries and keys are multiplied by.
  public var scale: Float
  public var softcap: Float?
  /// Positions a token sees, its own included.
  public var window: Int?
  /// Which of the model's rotary embeddings turns queries and keys.
  public var rope: Int?
  /// Norms of each head's queries and keys, before they are turned.
  public var queryNorm: NormPlan?
  public var keyNorm: NormPlan?

  init(
    _ name: String, _ projections: Projections, output: LinearPlan, heads: Int, kvHeads: Int,
    headSize: Int
  ) {
    self.name = name
    self.projections = projections
    self.output = output
    self.heads = heads
    self.kvHeads = kvHeads
    self.headSize = headSize
    scale = Float(power(Double(headSize), -0.5))
  }

  /// Numbers of a token's queries, and of its keys or values.
  public var queryWidth: Int { heads * headSize }
  public var keyWidth: Int { kvHeads * headSize }

  /// The linear layers that read the block's normalized input.
  public var inputs: [LinearPlan] {
    switch projections {
    case .separate(let query, let key, let value): [query, key, value]
    case .fused(let fused): [fused]
    }
  }

  /// Rows of a linear layer that are the values.
  var valueRows: (linear: LinearPlan, rows: Range<Int>) {
    switch projections {
    case .separate(_, _, let value): (value, 0..<value.rows)
    case .fused(let fused): (fused, fused.rows - keyWidth..<fused.rows)
    }
  }
}
