internal import Kernels
internal import TensorCore

/// What came to a module in one run.
struct ModuleInput {
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

  /// The whole block on one run; the hidden states after it.
  func pass(_ run: CalibrationRun, tap: BlockPass.Tap? = nil) throws -> Buffer {
    let hidden = try loader.buffer(run.values)
    try blockPass(run.sequences, run.tokens, weights, tap).forward(
      hidden, cache(run.sequences, run.tokens))
    return hidden
  }

  @discardableResult
  func pass(_ run: CalibrationRun, _ tap: @escaping BlockPass.Tap) throws -> Buffer {
    try pass(run, tap: tap)
  }

  /// The input of a module or linear layer; nil where nothing comes to it.
  func input(of module: String, _ run: CalibrationRun) throws -> ModuleInput? {
    do {
      try pass(run) { readers, input, rows, width in
        guard readers.contains(module) else { return }
        let values = try self.compute.floats(input, rows * width)
        let isWhole = rows == run.rows
        throw Reached(
          input: ModuleInput(
            sequences: isWhole ? run.sequences : 1, tokens: isWhole ? run.tokens : rows,
            values: values))
      }
      return nil
    } catch let reached as Reached {
      return reached.input
    }
  }

  /// The output of attention, feed-forward or a linear layer with these weights.
  func output(of module: String, _ input: ModuleInput, _ weights: BlockWeights) throws -> [Float] {
    let buffer = try loader.buffer(input.values)
    let pass = try blockPass(input.sequences, input.tokens, weights, nil)
    let output: Buffer
    let width: Int
    switch module {
    case plan.attention.name:
      output = try pass.attention(buffer, cache(input.sequences, input.tokens))
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

  private func blockPass(
    _ sequences: Int, _ tokens: Int, _ weights: BlockWeights, _ tap: BlockPass.Tap?
  ) throws -> BlockPass {
    let passage = try Passage(
      sequences: sequences, tokens: tokens, start: 0, capacity: tokens, length: tokens,
      ropes: ropes, loader)
    return BlockPass(
      plan: plan, weights: weights, compute: compute, passage: passage, pool: pool, tap: tap)
  }

  private func cache(_ sequences: Int, _ tokens: Int) throws -> KeyValueCache {
    let count = sequences * tokens * plan.attention.keyWidth
    return KeyValueCache(
      keys: try compute.makeBuffer(count), values: try compute.makeBuffer(count))
  }
}
