internal import Kernels

/// The weights of one block on a device, by module path.
struct BlockWeights: Sendable {
  private(set) var linears: [String: LoadedLinear] = [:]
  private(set) var norms: [String: Norm] = [:]

  /// Loads all of a block's tensors. Throws `malformed` and `io`.
  init(_ plan: BlockPlan, from loader: WeightLoader) throws {
    for linear in plan.linears { linears[linear.name] = try loader.linear(linear) }
    for norm in plan.norms { norms[norm.name] = try loader.norm(norm) }
  }

  func linear(_ plan: LinearPlan) -> LoadedLinear {
    guard let linear = linears[plan.name] else { preconditionFailure("\(plan.name) is not loaded") }
    return linear
  }

  func norm(_ plan: NormPlan) -> Norm {
    guard let norm = norms[plan.name] else { preconditionFailure("\(plan.name) is not loaded") }
    return norm
  }

  mutating func replace(_ name: String, _ linear: LoadedLinear) { linears[name] = linear }
  mutating func replace(_ name: String, _ norm: Norm) { norms[name] = norm }

  /// These, and others in the place of some linear layers.
  func replacing(_ others: [String: LoadedLinear]) -> BlockWeights {
    var weights = self
    weights.linears.merge(others) { $1 }
    return weights
  }

  /// Bytes that one token's products read; of experts all.
  var byteCount: Int { linears.values.reduce(0) { $0 + $1.weight.byteCount } }
}
