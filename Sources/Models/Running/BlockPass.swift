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
    try forward(.attention, hidden, cache)
    try forward(.feedForward, hidden, cache)
  }

  /// One half of the block, in place.
  func forward(_ half: BlockHalf, _ hidden: Buffer, _ cache: KeyValueCache) throws {
    try add(half, to: hidden) { input in
      switch half {
      case .attention: try attention(input, cache)
      case .feedForward: try feedForward(input)
      }
    }
  }

  /// The rest of a half whose last linear layer reads `inner`, in place.
  func finish(_ half: BlockHalf, _ hidden: Buffer, inner: Buffer, _ last: LinearPlan) throws {
    let output = try apply([last], to: inner, rows: rows)[0]
    defer { pool.give(output) }
    try add(output, half, to: hidden)
  }

  /// hidden + module(norm(hidden)), or norm(hidden + module(hidden)).
  private func add(
    _ half: BlockHalf, to hidden: Buffer, _ module: (Buffer) throws -> Buffer
  ) throws {
    let output: Buffer
    if plan.isPostNorm {
      output = try module(hidden)
    } else {
      let input = try pool.take(count)
      defer { pool.give(input) }
      try normalize(hidden, plan.norm(before: half), into: input)
      output = try module(input)
    }
    defer { pool.give(output) }
    try add(output, half, to: hidden)
  }

  private func add(_ output: Buffer, _ half: BlockHalf, to hidden: Buffer) throws {
    if let norm = plan.outputNorm(of: half) { try normalize(output, norm, into: output) }
    try compute.add(output, count: count, to: hidden)
    if plan.isPostNorm { try normalize(hidden, plan.norm(before: half), into: hidden) }
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
