internal import Kernels
internal import TensorCore

/// What came to a module in one run.
struct ModuleInput {
  /// The linear layers that read it, and the module that begins with them.
  let readers: [String]
  let sequences: Int
  /// Tokens of each sequence; of an expert all that came to it.
  let tokens: Int
  let values: [Float]

  var rows: Int { sequences * tokens }
}

extension CalibrationBlock {
  /// Ends a pass when what it was made for is there.
  private struct Reached: Error {
    let input: ModuleInput
  }

  /// The whole block on one run: the hidden states after it.
  func output(of run: CalibrationRun) throws -> [Float] {
    try pass(run, nil) { try compute.floats($0, run.values.count) }
  }

  /// The input of a module or linear layer; nil where nothing comes to it.
  func input(of module: String, _ run: CalibrationRun) throws -> ModuleInput? {
    do {
      let tap: BlockPass.Tap = { readers, input, rows, width in
        guard readers.contains(module) else { return }
        let values = try self.compute.floats(input, rows * width)
        let isWhole = rows == run.rows
        throw Reached(
          input: ModuleInput(
            readers: readers, sequences: isWhole ? run.sequences : 1,
            tokens: isWhole ? run.tokens : rows, values: values))
      }
      return try pass(run, tap) { _ in nil }
    } catch let reached as Reached {
      return reached.input
    }
  }

  /// The output of attention, feed-forward or a linear layer with these weights.
  func output(of module: String, _ input: ModuleInput, _ weights: BlockWeights) throws -> [Float] {
    try lend(input.values) { buffer in
      let pass = try blockPass(input.sequences, input.tokens, weights, nil)
      let output: Buffer
      let width: Int
      switch module {
      case plan.attention.name:
        output = try lendCache(input.sequences, input.tokens) { try pass.attention(buffer, $0) }
        width = pass.width
      case plan.feedForwardName:
        output = try pass.feedForward(buffer)
        width = pass.width
      default:
        let linear = try linearPlan(module)
        output = try pass.apply([linear], to: buffer, rows: input.rows)[0]
        width = linear.rows
      }
      defer { pool.give(output) }
      return try compute.floats(output, input.rows * width)
    }
  }

  /// Runs the block, and `body` on the hidden states after it.
  private func pass<Result>(
    _ run: CalibrationRun, _ tap: BlockPass.Tap?, _ body: (Buffer) throws -> Result
  ) throws -> Result {
    try lend(run.values) { hidden in
      try lendCache(run.sequences, run.tokens) {
        try blockPass(run.sequences, run.tokens, weights, tap).forward(hidden, $0)
      }
      return try body(hidden)
    }
  }

  private func blockPass(
    _ sequences: Int, _ tokens: Int, _ weights: BlockWeights, _ tap: BlockPass.Tap?
  ) throws -> BlockPass {
    let passage = try Passage(
      sequences: sequences, tokens: tokens, start: 0, capacity: tokens, length: tokens,
      ropes: ropes, loader)
    return BlockPass(
      plan: plan, weights: weights, compute: compute, passage: passage, pool: pool, tap: tap)
  }

  private func lend<Result>(
    _ values: [Float], _ body: (Buffer) throws -> Result
  ) throws -> Result {
    try pool.lend(values.count) { buffer in
      try compute.write(values.rawSpan, to: buffer, at: 0)
      return try body(buffer)
    }
  }

  private func lendCache<Result>(
    _ sequences: Int, _ tokens: Int, _ body: (KeyValueCache) throws -> Result
  ) throws -> Result {
    try pool.lendCache(sequences * tokens * plan.attention.keyWidth, body)
  }
}
