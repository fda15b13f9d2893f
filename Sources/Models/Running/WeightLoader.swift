internal import Kernels
internal import TensorCore

/// A linear layer on a device.
struct LoadedLinear: Sendable {
  let weight: any LoadedWeight
  let bias: Buffer?
}

/// Takes matrices and vectors of a checkpoint to a device, their shapes checked against the plan.
struct WeightLoader: Sendable {
  let provider: any WeightProvider
  let compute: any Compute
  /// How the input of a linear layer is treated, by module path.
  let activations: @Sendable (_ linear: String) -> ActivationRule

  /// The matrix as the checkpoint has it. Reads no weights.
  func source(_ plan: LinearPlan) throws -> any WeightSource {
    let source = try provider.matrix(
      plan.tensorName, slice: plan.slice, isTransposed: plan.isTransposed)
    guard source.rows == plan.rows, source.columns == plan.columns else {
      throw Failure(
        .malformed, at: "\(provider.path): \(plan.name)", "the shape disagrees with the config",
        expected: "[\(plan.rows), \(plan.columns)]", found: "[\(source.rows), \(source.columns)]")
    }
    return source
  }

  func linear(_ plan: LinearPlan) throws -> LoadedLinear {
    try linear(plan, source(plan), bias: bias(plan))
  }

  /// A linear layer with other weights than the checkpoint's. The rule for its input stays.
  func linear(_ plan: LinearPlan, _ source: any WeightSource, bias: [Float]?) throws
    -> LoadedLinear
  {
    LoadedLinear(
      weight: try compute.load(source, activations: activations(plan.name)),
      bias: try bias.map(buffer))
  }

  /// A table or head, whose input is never rounded.
  func table(_ plan: LinearPlan) throws -> any LoadedWeight {
    try compute.load(source(plan), activations: .float)
  }

  func bias(_ plan: LinearPlan) throws -> [Float]? {
    try plan.biasName.map { try vector($0, count: plan.rows) }
  }

  func norm(_ plan: NormPlan) throws -> Norm {
    try norm(plan, NormValues(plan, from: self))
  }

  func norm(_ plan: NormPlan, _ values: NormValues) throws -> Norm {
    Norm(
      plan.kind == .rms ? .rms : .layer, epsilon: plan.epsilon,
      weight: try values.weight.map { try buffer(plan.isOffset ? $0.map { 1 + $0 } : $0) },
      bias: try values.bias.map(buffer))
  }

  /// Reads the vectors of a block for their shapes alone.
  func checkVectors(_ block: BlockPlan) throws {
    for linear in block.linears { _ = try bias(linear) }
    for norm in block.norms { _ = try NormValues(norm, from: self) }
  }

  func vector(_ name: String, count: Int) throws -> [Float] {
    let values = try provider.vector(name)
    guard values.count == count else {
      throw Failure(
        .malformed, at: "\(provider.path): \(name)", "the shape disagrees with the config",
        expected: "[\(count)]", found: "[\(values.count)]")
    }
    return values
  }

  func buffer(_ values: [Float]) throws -> Buffer {
    let buffer = try compute.makeBuffer(values.count)
    try compute.write(values.rawSpan, to: buffer, at: 0)
    return buffer
  }
}

/// Weight and bias of a norm as the checkpoint stores them, γ without the 1.
public struct NormValues: Sendable, Equatable {
  public var weight: [Float]?
  public var bias: [Float]?

  init(_ plan: NormPlan, from loader: WeightLoader) throws {
    weight = plan.hasWeight ? try loader.vector(plan.name + ".weight", count: plan.width) : nil
    bias = plan.hasBias ? try loader.vector(plan.name + ".bias", count: plan.width) : nil
  }
}
