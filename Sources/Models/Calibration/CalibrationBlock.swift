public import Kernels
internal import TensorCore

/// One decoder block and the hidden states that calibration brings to it, as quantizers see it.
///
/// Its weights may be replaced one by one, and scales folded; inputs and outputs are those of the weights as
/// they are. Used by one thread at a time.
public final class CalibrationBlock: Block, @unchecked Sendable {
  public let plan: BlockPlan
  let ropes: [RopePlan]
  let loader: WeightLoader
  var weights: BlockWeights
  private let inputs: [CalibrationRun]
  /// Linear layers that are not the checkpoint's any more.
  private var matrices: [String: Matrix] = [:]
  private var biases: [String: [Float]] = [:]
  private var norms: [String: NormValues] = [:]
  /// The inputs of the module that was asked for last.
  private var taken: (module: String, runs: [ModuleInput])?
  let pool: BufferPool

  /// Linear layers that nothing is to be learned of, such as experts that too few tokens come to: no site is
  /// theirs alone, and no group has them.
  private let starved: Set<String>

  public init(
    _ block: DecoderBlock, inputs: [CalibrationRun], leavingOut starved: Set<String> = []
  ) {
    self.starved = starved
    plan = block.plan
    ropes = block.ropes
    loader = block.loader
    weights = block.weights
    self.inputs = inputs
    pool = BufferPool(block.loader.compute)
  }

  public var inputGroups: [[String]] {
    plan.inputGroups.map { $0.map(\.name).filter { !starved.contains($0) } }.filter { !$0.isEmpty }
  }

  public var foldSites: [FoldSite] { plan.foldSites.filter { !starved.contains($0.parent) } }

  public func weight(_ linear: String) throws -> Matrix {
    if let matrix = matrices[linear] { return matrix }
    return try loader.source(linearPlan(linear)).readMatrix()
  }

  /// nil where the layer has none.
  public func bias(_ linear: String) throws -> [Float]? {
    if let bias = biases[linear] { return bias }
    return try loader.bias(linearPlan(linear))
  }

  /// As a checkpoint stores it: γ without the 1 of norms that multiply by 1 + γ.
  public func norm(_ name: String) throws -> NormValues {
    if let values = norms[name] { return values }
    return try NormValues(normPlan(name), from: loader)
  }

  /// Puts another weight in the place of a linear layer's.
  public func replace(_ linear: String, with matrix: Matrix) throws {
    try replace(linear, with: matrix, bias: bias(linear))
  }

  func replace(_ linear: String, with matrix: Matrix, bias: [Float]?) throws {
    weights.replace(linear, try load(linear, matrix, bias: bias))
    matrices[linear] = matrix
    biases[linear] = bias
    taken = nil
  }

  func replace(_ norm: String, with values: NormValues) throws {
    weights.replace(norm, try loader.norm(normPlan(norm), values))
    norms[norm] = values
    taken = nil
  }

  public func forEachInput(
    of linear: String, _ body: (_ tokens: Int, _ values: [Float]) throws -> Void
  ) throws {
    _ = try linearPlan(linear)
    for run in inputs {
      if let input = try input(of: linear, run) { try body(input.rows, input.values) }
    }
  }

  /// One pass that hands on the inputs of all linear layers, each by the names of those that share it.
  public func forEachInput(
    _ body: (_ linears: [String], _ tokens: Int, _ values: [Float]) throws -> Void
  ) throws {
    let known = Set(plan.linears.map(\.name))
    try withoutActuallyEscaping(body) { body in
      for run in inputs {
        try pass(run) { readers, input, rows, width in
          try body(readers.filter(known.contains), rows, self.compute.floats(input, rows * width))
        }
      }
    }
  }

  public func forEachOutput(
    of parent: String, replacing others: [String: Matrix],
    _ body: (_ run: Int, _ tokens: Int, _ values: [Float]) throws -> Void
  ) throws {
    var loaded: [String: LoadedLinear] = [:]
    for (linear, matrix) in others {
      loaded[linear] = try load(linear, matrix, bias: bias(linear))
    }
    let changed = weights.replacing(loaded)
    for (index, input) in try moduleInputs(parent).enumerated() {
      let output = try output(of: parent, input, changed)
      try body(index, input.rows, output)
    }
  }

  /// The block's outputs, the next one's inputs.
  public func outputs() throws -> [CalibrationRun] {
    try inputs.map { run in
      var output = run
      output.values = try compute.floats(pass(run), run.values.count)
      return output
    }
  }

  var compute: any Compute { loader.compute }

  private func load(_ linear: String, _ matrix: Matrix, bias: [Float]?) throws -> LoadedLinear {
    let plan = try linearPlan(linear)
    precondition(matrix.rows == plan.rows && matrix.columns == plan.columns)
    return try loader.linear(plan, MatrixWeight(name: linear, matrix: matrix), bias: bias)
  }

  func linearPlan(_ name: String) throws -> LinearPlan {
    guard let linear = plan.linears.first(where: { $0.name == name }) else {
      throw Failure(.internal, at: name, "the block \(plan.name) has no such linear layer")
    }
    return linear
  }

  func normPlan(_ name: String) throws -> NormPlan {
    guard let norm = plan.norms.first(where: { $0.name == name }) else {
      throw Failure(.internal, at: name, "the block \(plan.name) has no such norm")
    }
    return norm
  }

  /// The inputs of a module in all runs, kept until another is asked for or a weight changes. A run in which
  /// no token comes to an expert is left out.
  private func moduleInputs(_ module: String) throws -> [ModuleInput] {
    if let taken, taken.module == module { return taken.runs }
    let runs = try inputs.compactMap { try input(of: module, $0) }
    taken = (module, runs)
    return runs
  }
}
