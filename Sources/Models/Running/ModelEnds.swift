internal import Kernels
internal import TensorCore

/// What stands before the first block and after the last.
struct ModelEnds: Sendable {
  let blueprint: Blueprint
  let compute: any Compute
  let tokens: any LoadedWeight
  let factor: Float
  let positions: (any LoadedWeight)?
  let projectIn: (any LoadedWeight)?
  let finalNorm: Norm?
  let projectOut: (any LoadedWeight)?
  let head: any LoadedWeight

  init(_ blueprint: Blueprint, from loader: WeightLoader) throws {
    self.blueprint = blueprint
    compute = loader.compute
    let source = try loader.source(blueprint.embedding.tokens)
    tokens = try loader.compute.load(source, activations: .float)
    factor =
      blueprint.embedding.isScaled
      ? try Self.scale(blueprint.hiddenSize, as: source.denseType) : 1
    positions = try (blueprint.embedding.positions?.table).map(loader.table)
    projectIn = try blueprint.embedding.projectIn.map(loader.table)
    finalNorm = try blueprint.finalNorm.map(loader.norm)
    projectOut = try blueprint.projectOut.map(loader.table)
    let hasHead = loader.provider.names.contains(blueprint.head.tensorName)
    head = hasHead ? try loader.table(blueprint.head) : tokens
  }

  /// √hidden in a type: the peer multiplies in the type of the table.
  private static func scale(_ hiddenSize: Int, as type: DType) throws -> Float {
    let root = Float(Double(hiddenSize).squareRoot())
    guard FloatConversion.writable.contains(type) else { return root }
    let workspace = Workspace()
    return try workspace.lend(type.bits / 8) { stored in
      try FloatConversion.fromFloat32(type, [root].rawSpan, into: &stored)
      return try workspace.lend(4) { float in
        try FloatConversion.toFloat32(type, stored.bytes, into: &float)
        return float.bytes.float32(at: 0)
      }
    }
  }

  /// Hidden states `[sequences][tokens][hidden]` of ids, to be given back to the pool.
  func embed(_ ids: [Int32], at start: Int, _ sequences: Int, _ pool: BufferPool) throws -> Buffer {
    let embedded = try pool.take(ids.count * tokens.columns)
    try compute.embed(ids, tokens, factor: factor, into: embedded)
    let hidden: Buffer
    if let projectIn {
      hidden = try pool.take(ids.count * blueprint.hiddenSize)
      try compute.linear(embedded, tokens: ids.count, projectIn, bias: nil, into: hidden)
      pool.give(embedded)
    } else {
      hidden = embedded
    }
    if let positions, let plan = blueprint.embedding.positions {
      let count = ids.count / sequences
      let rows = (0..<sequences).flatMap { _ in
        (0..<count).map { Int32(start + $0 + plan.offset) }
      }
      let learned = try pool.take(ids.count * blueprint.hiddenSize)
      try compute.embed(rows, positions, factor: 1, into: learned)
      try compute.add(learned, count: ids.count * blueprint.hiddenSize, to: hidden)
      pool.give(learned)
    }
    return hidden
  }

  /// Logits `[rows][vocabulary]` of hidden states after the last block.
  func logits(_ hidden: Buffer, rows: Int, _ pool: BufferPool) throws -> Buffer {
    let width = blueprint.hiddenSize
    var input = hidden
    if let finalNorm {
      input = try pool.take(rows * width)
      try compute.normalize(hidden, rows: rows, width: width, finalNorm, into: input)
    }
    defer { if finalNorm != nil { pool.give(input) } }
    guard let projectOut else { return try headLogits(input, rows) }
    let projected = try pool.take(rows * projectOut.rows)
    defer { pool.give(projected) }
    try compute.linear(input, tokens: rows, projectOut, bias: nil, into: projected)
    return try headLogits(projected, rows)
  }

  private func headLogits(_ input: Buffer, _ rows: Int) throws -> Buffer {
    let logits = try compute.makeBuffer(rows * head.rows)
    try compute.linear(input, tokens: rows, head, bias: nil, into: logits)
    if let cap = blueprint.logitSoftcap {
      try compute.softcap(logits, count: logits.count, cap: cap)
    }
    return logits
  }
}
