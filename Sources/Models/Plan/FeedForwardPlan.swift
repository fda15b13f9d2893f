public import Kernels

/// What a block does after its attention.
public indirect enum FeedForwardPlan: Sendable {
  /// down(f(up(x))).
  case plain(PlainPlan)
  /// down(f(gate(x)) · up(x)).
  case gated(GatedPlan)
  /// A router chooses some of many gated ones for each token.
  case experts(ExpertsPlan)
}

public struct PlainPlan: Sendable {
  public let up: LinearPlan
  public let down: LinearPlan
  public let activation: Activation
}

public struct GatedPlan: Sendable {
  public enum Projections: Sendable {
    case separate(gate: LinearPlan, up: LinearPlan)
    /// Rows of the gate, then of up.
    case fused(LinearPlan)
  }

  public let name: String
  public let projections: Projections
  public let down: LinearPlan
  public let activation: Activation

  public var inputs: [LinearPlan] {
    switch projections {
    case .separate(let gate, let up): [gate, up]
    case .fused(let fused): [fused]
    }
  }

  /// Rows of a linear layer that are multiplied with the gate.
  var upRows: (linear: LinearPlan, rows: Range<Int>) {
    switch projections {
    case .separate(_, let up): (up, 0..<up.rows)
    case .fused(let fused): (fused, down.columns..<fused.rows)
    }
  }
}

public struct ExpertsPlan: Sendable {
  public let name: String
  /// `[experts][inputs]`; never quantized.
  public let router: LinearPlan
  public let experts: [GatedPlan]
  /// Experts of a token.
  public let chosen: Int
  /// Whether the shares of a token's experts are made to add up to 1.
  public let normalizesShares: Bool
  /// An expert that every token goes through, and the gate `[1][inputs]` of its share.
  public var shared: (expert: GatedPlan, gate: LinearPlan)?
}

extension FeedForwardPlan {
  /// Linear layers that share an input, in order of execution; routers are none of them.
  var inputGroups: [[LinearPlan]] {
    switch self {
    case .plain(let plan): [[plan.up], [plan.down]]
    case .gated(let plan): plan.inputGroups
    case .experts(let plan):
      plan.experts.flatMap(\.inputGroups) + (plan.shared?.expert.inputGroups ?? [])
    }
  }

  /// Matrices that are not quantized.
  var routers: [LinearPlan] {
    guard case .experts(let plan) = self else { return [] }
    return [plan.router] + [plan.shared?.gate].compactMap(\.self)
  }
}

extension GatedPlan {
  var inputGroups: [[LinearPlan]] { [inputs, [down]] }
}
