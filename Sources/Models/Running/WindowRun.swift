public import Kernels
internal import TensorCore

/// A model's blocks one after the other over windows of text, each from its first position on, with what
/// the linear layers read handed out on the way. Used by one thread at a time.
///
/// Windows of one length run together: `[sequences][tokens][width]`, f32, row-major.
public final class WindowRun {
  /// Gets what some linear layers read, f32 `[rows][width]`; `values` takes it from the device. Returns
  /// whether the run is to go on.
  public typealias Tap = (
    _ readers: [String], _ rows: Int, _ width: Int, _ values: () throws -> [Float]
  ) throws -> Bool

  /// Ends a pass whose rest nobody needs.
  private struct Enough: Error {}

  private struct Shape: Hashable {
    let sequences: Int
    let tokens: Int
  }

  public let model: CausalModel
  private let pool: BufferPool
  private var passages: [Shape: Passage] = [:]
  /// Arrays by their count, filled again once nobody else has them.
  private var scratch: [Int: [Float]] = [:]

  public init(_ model: CausalModel) {
    self.model = model
    pool = BufferPool(model.compute)
  }

  /// What the first block reads. Throws `usage` for ids that are no tokens.
  public func embed(_ ids: [Int32], sequences: Int) throws -> [Float] {
    try model.checkIds(ids)
    let hidden = try model.ends.embed(ids, at: 0, sequences, pool)
    defer { pool.give(hidden) }
    return try floats(hidden, ids.count * model.hiddenSize)
  }

  /// The output of a block; nil where `tap` has ended the pass. Throws `cannotRepresent`, naming the
  /// block, where it is not finite.
  public func run(
    _ block: DecoderBlock, _ hidden: [Float], sequences: Int, tap: Tap? = nil
  ) throws -> [Float]? {
    try run(block, BlockHalf.allCases, hidden, sequences: sequences, tap: tap)
  }

  /// What comes out of some halves of a block, of what goes in before the first of them; otherwise as above.
  public func run(
    _ block: DecoderBlock, _ halves: [BlockHalf], _ hidden: [Float], sequences: Int,
    tap: Tap? = nil
  ) throws -> [Float]? {
    try pass(block, hidden, sequences, tap) { pass, buffer in
      let count = hidden.count / model.hiddenSize * block.plan.attention.keyWidth
      let (keys, values) = (try pool.take(count), try pool.take(count))
      defer { pool.give([keys, values]) }
      for half in halves {
        try pass.forward(half, buffer, KeyValueCache(keys: keys, values: values))
      }
    }
  }

  /// What comes out of a half whose last linear layer reads `inner` `[rows][columns]`. Traps where the half ends
  /// with experts.
  public func finish(
    _ block: DecoderBlock, _ half: BlockHalf, _ hidden: [Float], inner: [Float], sequences: Int
  ) throws -> [Float]? {
    guard let last = block.plan.lastLinear(of: half) else { preconditionFailure("experts end it") }
    return try pass(block, hidden, sequences, nil) { pass, buffer in
      let input = try pool.take(inner.count)
      defer { pool.give(input) }
      try model.compute.write(inner.rawSpan, to: input, at: 0)
      try pass.finish(half, buffer, inner: input, last)
    }
  }

  /// `body` turns hidden states in a buffer into those after it.
  private func pass(
    _ block: DecoderBlock, _ hidden: [Float], _ sequences: Int, _ tap: Tap?,
    _ body: (BlockPass, Buffer) throws -> Void
  ) throws -> [Float]? {
    let rows = hidden.count / model.hiddenSize
    let passage = try passage(Shape(sequences: sequences, tokens: rows / sequences))
    let buffer = try pool.take(hidden.count)
    defer { pool.give(buffer) }
    try model.compute.write(hidden.rawSpan, to: buffer, at: 0)
    var pass = block.pass(passage, pool)
    if let tap {
      pass.tap = { readers, input, rows, width in
        let goesOn = try tap(readers, rows, width) { try self.floats(input, rows * width) }
        if !goesOn { throw Enough() }
      }
    }
    do {
      try body(pass, buffer)
    } catch is Enough {
      return nil
    }
    return try finite(floats(buffer, hidden.count), block.plan.name)
  }

  /// What the head reads of the last block's output.
  public func headInput(_ hidden: [Float]) throws -> [Float] {
    let (ends, width) = (model.ends, model.hiddenSize)
    let rows = hidden.count / width
    var buffer = try pool.take(hidden.count)
    defer { pool.give(buffer) }
    try model.compute.write(hidden.rawSpan, to: buffer, at: 0)
    if let norm = ends.finalNorm {
      try model.compute.normalize(buffer, rows: rows, width: width, norm, into: buffer)
    }
    guard let projection = ends.projectOut else { return try floats(buffer, hidden.count) }
    let projected = try pool.take(rows * projection.rows)
    try model.compute.linear(buffer, tokens: rows, projection, bias: nil, into: projected)
    pool.give(buffer)
    buffer = projected
    return try floats(buffer, rows * projection.rows)
  }

  private func passage(_ shape: Shape) throws -> Passage {
    if let known = passages[shape] { return known }
    let made = try Passage(
      sequences: shape.sequences, tokens: shape.tokens, start: 0, capacity: shape.tokens,
      length: shape.tokens, ropes: model.blueprint.ropes, model.loader)
    passages[shape] = made
    return made
  }

  private func floats(_ buffer: Buffer, _ count: Int) throws -> [Float] {
    var values = scratch.removeValue(forKey: count) ?? [Float](repeating: 0, count: count)
    try values.withMutableBytes { try model.compute.read(buffer, at: 0, into: &$0) }
    if scratch.count > 4 { scratch.removeAll() }
    scratch[count] = values
    return values
  }

  private func finite(_ values: [Float], _ name: String) throws -> [Float] {
    let found = FloatStatistics(values.rawSpan)
    guard found.finiteCount < found.count else { return values }
    throw Failure(
      .cannotRepresent, at: "\(model.loader.provider.path): \(name)",
      "the block's output is not finite", expected: "finite activations",
      found: "\(found.count - found.finiteCount) of \(found.count) numbers")
  }
}

extension CausalModel {
  /// A block with the weights of another checkpoint of the same model.
  public func block(_ index: Int, from weights: any WeightProvider) throws -> DecoderBlock {
    let other = WeightLoader(
      provider: weights, compute: compute, activations: loader.activations)
    return try DecoderBlock(blueprint.blocks[index], blueprint.ropes, from: other)
  }
}

extension DecoderBlock {
  /// The block with other weights in the place of some linear layers', by module path; biases stay.
  public func replacing(_ sources: [String: any WeightSource]) throws -> DecoderBlock {
    var changed: [String: LoadedLinear] = [:]
    for linear in plan.linears {
      guard let source = sources[linear.name] else { continue }
      changed[linear.name] = try loader.linear(linear, source, bias: loader.bias(linear))
    }
    return DecoderBlock(plan, ropes, loader, weights.replacing(changed))
  }
}
