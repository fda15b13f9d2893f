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
  private let inputs: any CalibrationInputs
  /// Bytes that what comes to a module, and goes out of it, may take.
  private let room: Int
  /// Linear layers that are not the checkpoint's any more.
  private var matrices: [String: Matrix] = [:]
  private var biases: [String: [Float]] = [:]
  private var norms: [String: NormValues] = [:]
  /// What came in some runs to the module that was asked for last.
  private var taken: TakenInputs?
  let pool: BufferPool

  /// Linear layers that nothing is to be learned of, such as experts that too few tokens come to: no site is
  /// theirs alone, and no group has them.
  private let starved: Set<String>

  public init(
    _ block: DecoderBlock, inputs: any CalibrationInputs, room: Int = .max,
    leavingOut starved: Set<String> = []
  ) {
    (self.starved, self.room) = (starved, room)
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
    let all = 0..<inputs.rows.count
    let parent = plan.foldSites.first { $0.linears.contains(linear) }?.parent ?? linear
    if try parts(of: parent).count == 1 {
      for input in try taken(linear, all) { try body(input.rows, input.values) }
      return
    }
    for run in all {
      if let input = try input(of: linear, inputs.run(run)) { try body(input.rows, input.values) }
    }
  }

  /// As many runs a part as there is room for their inputs and outputs, one at least.
  public func parts(of parent: String) throws -> [Range<Int>] {
    let width = try plan.widths(of: parent)
    var parts: [Range<Int>] = []
    var bytes = 0
    for (run, rows) in inputs.rows.enumerated() {
      let size = rows * width * 4
      if let last = parts.last, bytes + size <= room {
        parts[parts.count - 1] = last.lowerBound..<run + 1
        bytes += size
      } else {
        parts.append(run..<run + 1)
        bytes = size
      }
    }
    return parts
  }

  public func forEachOutput(
    of parent: String, in runs: Range<Int>, replacing others: [String: Matrix],
    _ body: (_ tokens: Int, _ values: [Float]) throws -> Void
  ) throws {
    var loaded: [String: LoadedLinear] = [:]
    for (linear, matrix) in others {
      loaded[linear] = try load(linear, matrix, bias: bias(linear))
    }
    let changed = weights.replacing(loaded)
    for input in try taken(parent, runs) {
      try body(input.rows, output(of: parent, input, changed))
    }
  }

  /// The block's outputs, the next one's inputs.
  public func outputs() throws -> [CalibrationRun] {
    try inputs.rows.indices.map { index in
      var run = try inputs.run(index)
      run.values = try output(of: run)
      return run
    }
  }

  /// Gives back the memory of kept inputs.
  public func forgetInputs() {
    taken = nil
    pool.empty()
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

  /// The inputs of a module in some runs, kept until others are asked for or a weight changes. A run in which
  /// no token comes to an expert is left out.
  private func taken(_ module: String, _ runs: Range<Int>) throws -> [ModuleInput] {
    if let taken, taken.runs == runs, taken.readers.contains(module) { return taken.inputs }
    taken = nil
    let found = try runs.compactMap { try input(of: module, inputs.run($0)) }
    taken = TakenInputs(
      readers: Set(found.first?.readers ?? []).union([module]), runs: runs, inputs: found)
    return found
  }
}

/// What came to some modules that read the same, in some runs.
private struct TakenInputs {
  let readers: Set<String>
  let runs: Range<Int>
  let inputs: [ModuleInput]
}

extension BlockPlan {
  /// Numbers that a token brings to attention, feed-forward or a linear layer, and those that come out of it.
  public func widths(of module: String) throws -> Int {
    if module == attention.name || module == feedForwardName { return 2 * attentionNorm.width }
    guard let linear = linears.first(where: { $0.name == module }) else {
      throw Failure(.internal, at: module, "the block \(name) has no such module")
    }
    return linear.columns + linear.rows
  }
}
