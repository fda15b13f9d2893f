public import Kernels

/// One block of a model with its weights on a device; they go when it goes.
public final class DecoderBlock: Sendable {
  public let plan: BlockPlan
  let ropes: [RopePlan]
  let loader: WeightLoader
  let weights: BlockWeights

  init(_ plan: BlockPlan, _ ropes: [RopePlan], from loader: WeightLoader) throws {
    self.plan = plan
    self.ropes = ropes
    self.loader = loader
    weights = try BlockWeights(plan, from: loader)
  }

  /// `block` with other weights.
  init(_ block: DecoderBlock, _ weights: BlockWeights) {
    (plan, ropes, loader) = (block.plan, block.ropes, block.loader)
    self.weights = weights
  }

  func pass(_ passage: Passage, _ pool: BufferPool) -> BlockPass {
    BlockPass(
      plan: plan, weights: weights, compute: loader.compute, passage: passage, pool: pool)
  }
}
