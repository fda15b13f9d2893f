/// The two parts of a block, each added to what came in.
public enum BlockHalf: Sendable, CaseIterable { case attention, feedForward }

extension BlockPlan {
  func norm(before half: BlockHalf) -> NormPlan {
    half == .attention ? attentionNorm : feedForwardNorm
  }

  func outputNorm(of half: BlockHalf) -> NormPlan? {
    half == .attention ? attentionOutputNorm : feedForwardOutputNorm
  }

  /// Linear layers of a half that share an input, in order of execution.
  public func inputGroups(of half: BlockHalf) -> [[LinearPlan]] {
    half == .attention ? [attention.inputs, [attention.output]] : feedForward.inputGroups
  }

  /// The linear layer that a half ends with; nil where experts end it.
  public func lastLinear(of half: BlockHalf) -> LinearPlan? {
    switch (half, feedForward) {
    case (.attention, _): attention.output
    case (.feedForward, .plain(let plan)): plan.down
    case (.feedForward, .gated(let plan)): plan.down
    case (.feedForward, .experts): nil
    }
  }

  /// Whether a router sends tokens to some of many feed-forward networks.
  public var hasExperts: Bool {
    if case .experts = feedForward { true } else { false }
  }
}
