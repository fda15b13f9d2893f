internal import Kernels

/// One block at work on one passage.
struct BlockPass {
  /// Handed the inputs of linear layers, and of the modules that begin with them: f32 `[rows][width]`.
  typealias Tap = (_ readers: [String], _ input: Buffer, _ rows: Int, _ width: Int) throws -> Void

  let plan: BlockPlan
  let weights: BlockWeights
  let compute: any Compute
  let passage: Passage
  let pool: BufferPool
  var tap: Tap?

  var rows: Int { passage.rows }
  var width: Int { plan.attentionNorm.width }
  var count: Int { rows * width }

  /// The block's output in the place of its input, `[rows][width]`; the cache gets the new positions.
  func forward(_ hidden: Buffer, _ cache: KeyValueCache) throws {
    try add(to: hidden, norm: plan.attentionNorm, outputNorm: plan.attentionOutputNorm) {
      try attention($0, cache)
    }
    try add(to: hidden, norm: plan.feedForwardNorm, outputNorm: plan.feedForwardOutputNorm) {
      try feedForward($0)
    }
  }

  /// hidden + module(norm(hidden)), or norm(hidden + module(hidden)).
  private func add(
    to hidden: Buffer, norm: NormPlan, outputNorm: NormPlan?, _ module: (Buffer) throws -> Buffer
  ) throws {
    let output: Buffer
    if plan.isPostNorm {
      output = try module(hidden)
    } else {
      let input = try pool.take(count)
      defer { pool.give(input) }
      try normalize(hidden, norm, into: input)
      output = try module(input)
    }
    defer { pool.give(output) }
    if let outputNorm { try normalize(output, outputNorm, into: output) }
    try compute.add(output, count: count, to: hidden)
    if plan.isPostNorm { try normalize(hidden, norm, into: hidden) }
  }

  private func normalize(_ input: Buffer, _ norm: NormPlan, into output: Buffer) throws {
    try compute.normalize(
      input, rows: rows, width: width, weights.norm(norm), into: output)
  }

  /// Linear layers that share an input `[rows][inputs]`: their outputs, to be given back to the pool.
  /// `module` begins with them.
  func apply(_ linears: [LinearPlan], of module: String? = nil, to input: Buffer, rows: Int) throws
    -> [Buffer]
  {
    if let tap {
      let readers = linears.map(\.name) + [module].compactMap(\.self)
      try tap(readers, input, rows, linears[0].columns)
    }
    return try linears.map { linear in
      let output = try pool.take(rows * linear.rows)
      let loaded = weights.linear(linear)
      try compute.linear(
        input, tokens: rows, loaded.weight, bias: loaded.bias, into: output)
      return output
    }
  }
}
