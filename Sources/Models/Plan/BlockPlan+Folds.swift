public import Kernels

/// Rows of linear layers whose order is free, and the linear layer that reads them: its inputs may be
/// stored in any order, if those rows are put in the same.
public struct AbsorbedOrder: Sendable, Equatable {
  public let linear: String
  public let sources: [(linear: String, rows: Range<Int>)]

  public static func == (left: AbsorbedOrder, right: AbsorbedOrder) -> Bool {
    left.linear == right.linear
      && left.sources.elementsEqual(right.sources) { $0.linear == $1.linear && $0.rows == $1.rows }
  }
}

extension BlockPlan {
  /// Where AWQ may move scales, in order of execution: norm → linear layers, v → o where both have one
  /// value for each input (not with grouped queries), norm → gate and up, up → down, and fc1 → fc2 where the
  /// activation is positively homogeneous. Norms after an addition keep theirs. Linear layers that are not
  /// quantized (routers) are scaled with the others of their norm.
  public var foldSites: [FoldSite] {
    attentionSites + feedForwardSites
  }

  private var attentionSites: [FoldSite] {
    var sites: [FoldSite] = []
    if !isPostNorm, foldsAttentionNorm, attentionNorm.hasWeight {
      sites.append(
        site(attentionNorm, attention.inputs, parent: attention.name))
    }
    let (linear, rows) = attention.valueRows
    if rows.count == attention.output.columns {
      sites.append(Self.site(linear, rows, attention.output))
    }
    return sites
  }

  private var feedForwardSites: [FoldSite] {
    let readers: [LinearPlan]
    var inner: [FoldSite] = []
    switch feedForward {
    case .plain(let plan):
      readers = [plan.up]
      if plan.activation == .relu { inner = [Self.site(plan.up, 0..<plan.up.rows, plan.down)] }
    case .gated(let plan):
      readers = plan.inputs
      inner = [Self.site(plan)]
    case .experts(let plan):
      let experts = plan.experts + [plan.shared?.expert].compactMap(\.self)
      readers = experts.flatMap(\.inputs) + feedForward.routers
      inner = experts.map(Self.site)
    }
    guard !isPostNorm, feedForwardNorm.hasWeight else { return inner }
    let parent = feedForwardName == name ? readers[0].name : feedForwardName
    return [site(feedForwardNorm, readers, parent: parent)] + inner
  }

  private func site(_ norm: NormPlan, _ linears: [LinearPlan], parent: String) -> FoldSite {
    FoldSite(
      source: .norm(norm.name, isOffset: norm.isOffset), linears: linears.map(\.name),
      parent: parent)
  }

  private static func site(
    _ source: LinearPlan, _ rows: Range<Int>, _ reader: LinearPlan
  ) -> FoldSite {
    FoldSite(
      source: .linear(source.name, rows: rows), linears: [reader.name], parent: reader.name)
  }

  private static func site(_ plan: GatedPlan) -> FoldSite {
    let (linear, rows) = plan.upRows
    return site(linear, rows, plan.down)
  }

  /// Where the order of a linear layer's inputs can be absorbed without a trace: down ← gate and up,
  /// fc2 ← fc1.
  public var absorbedOrders: [AbsorbedOrder] {
    switch feedForward {
    case .plain(let plan):
      [AbsorbedOrder(linear: plan.down.name, sources: [(plan.up.name, 0..<plan.up.rows)])]
    case .gated(let plan): [Self.order(plan)]
    case .experts(let plan):
      (plan.experts + [plan.shared?.expert].compactMap(\.self)).map(Self.order)
    }
  }

  private static func order(_ plan: GatedPlan) -> AbsorbedOrder {
    let sources: [(linear: String, rows: Range<Int>)]
    switch plan.projections {
    case .separate(let gate, let up):
      sources = [(gate.name, 0..<gate.rows), (up.name, 0..<up.rows)]
    case .fused(let fused):
      let width = plan.down.columns
      sources = [(fused.name, 0..<width), (fused.name, width..<fused.rows)]
    }
    return AbsorbedOrder(linear: plan.down.name, sources: sources)
  }
}
