internal import Kernels

extension BlockPass {
  /// Attention of normalized hidden states `[rows][width]`; the result is to be given back to the pool.
  func attention(_ input: Buffer, _ cache: KeyValueCache) throws -> Buffer {
    let plan = plan.attention
    let projected = try project(input)
    defer { pool.give(projected) }
    let (queries, keys, values) = (projected[0], projected[1], projected[2])
    try prepare(queries, heads: plan.heads, norm: plan.queryNorm)
    try prepare(keys, heads: plan.kvHeads, norm: plan.keyNorm)
    try store(keys, in: cache.keys)
    try store(values, in: cache.values)
    let mixed = try pool.take(rows * plan.queryWidth)
    defer { pool.give(mixed) }
    try compute.attend(queries, keys: cache.keys, values: cache.values, shape, into: mixed)
    return try apply([plan.output], to: mixed, rows: rows)[0]
  }

  /// Queries, keys and values.
  private func project(_ input: Buffer) throws -> [Buffer] {
    let plan = plan.attention
    let outputs = try apply(plan.inputs, of: plan.name, to: input, rows: rows)
    guard case .fused = plan.projections else { return outputs }
    defer { pool.give(outputs) }
    return try split(outputs[0], rows, [plan.queryWidth, plan.keyWidth, plan.keyWidth])
  }

  /// Rows cut into parts of `widths`.
  func split(_ input: Buffer, _ rows: Int, _ widths: [Int]) throws -> [Buffer] {
    let parts = try widths.map { try pool.take(rows * $0) }
    try compute.split(input, rows: rows, widths: widths, into: parts)
    return parts
  }

  /// Norm of each head, then its turn.
  private func prepare(_ values: Buffer, heads: Int, norm: NormPlan?) throws {
    let size = plan.attention.headSize
    if let norm {
      try compute.normalize(
        values, rows: rows * heads, width: size, weights.norm(norm), into: values)
    }
    guard let rope = plan.attention.rope else { return }
    let turn = passage.turns[rope]
    try compute.rotate(
      values, tokens: rows, heads: heads, headSize: size, cosines: turn.cosines,
      sines: turn.sines, pairs: turn.pairs, positions: passage.positions)
  }

  private func store(_ values: Buffer, in cache: Buffer) throws {
    try compute.store(
      values, sequences: passage.sequences, tokens: passage.tokens, width: plan.attention.keyWidth,
      into: cache, capacity: passage.capacity, at: passage.start)
  }

  private var shape: AttentionShape {
    let plan = plan.attention
    var shape = AttentionShape(
      tokens: passage.tokens, start: passage.start, capacity: passage.capacity, heads: plan.heads,
      kvHeads: plan.kvHeads, headSize: plan.headSize, scale: plan.scale)
    shape.sequences = passage.sequences
    shape.softcap = plan.softcap
    shape.window = plan.window
    return shape
  }
}
