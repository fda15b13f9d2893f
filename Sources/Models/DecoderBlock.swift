internal import Kernels

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

  init(_ plan: BlockPlan, _ ropes: [RopePlan], _ loader: WeightLoader, _ weights: BlockWeights) {
    (self.plan, self.ropes, self.loader, self.weights) = (plan, ropes, loader, weights)
  }

  func pass(_ passage: Passage, _ pool: BufferPool) -> BlockPass {
    BlockPass(
      plan: plan, weights: weights, compute: loader.compute, passage: passage, pool: pool)
  }
}
