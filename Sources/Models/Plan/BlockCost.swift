/// What a block costs a token, in multiplications and additions: its halves, each up to its last linear layer and that
/// one.
public struct BlockCost: Sendable, Equatable {
  /// Of the linear layers before the last of each half; of experts the share that a token is sent to, whole.
  public let inner: [BlockHalf: Double]
  /// Of the last linear layer of each half.
  public let last: [BlockHalf: Double]
  /// Of attention, for each position that a token sees.
  public let position: Double
}

extension BlockPlan {
  public var cost: BlockCost {
    var inner: [BlockHalf: Double] = [:]
    var last: [BlockHalf: Double] = [:]
    for half in BlockHalf.allCases {
      let end = lastLinear(of: half)
      last[half] = end?.cost ?? 0
      inner[half] = linears(of: half).filter { $0 != end }.reduce(0) {
        $0 + $1.cost * share(of: $1)
      }
    }
    return BlockCost(inner: inner, last: last, position: 4 * Double(attention.queryWidth))
  }

  private func linears(of half: BlockHalf) -> [LinearPlan] {
    inputGroups(of: half).flatMap(\.self) + (half == .feedForward ? feedForward.routers : [])
  }

  /// The part of all tokens that comes to a linear layer, where they are sent to experts evenly.
  public func share(of linear: LinearPlan) -> Double {
    guard case .experts(let plan) = feedForward,
      plan.experts.contains(where: { $0.inputGroups.contains { $0.contains(linear) } })
    else { return 1 }
    return Double(plan.chosen) / Double(max(1, plan.experts.count))
  }
}

extension LinearPlan {
  /// Operations of a token.
  fileprivate var cost: Double { 2 * Double(rows) * Double(columns) }
}
