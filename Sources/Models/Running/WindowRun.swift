public import Kernels
internal import TensorCore

/// Windows of one length that run together.
public struct WindowShape: Hashable, Sendable {
  public let sequences: Int
  /// Tokens of each sequence.
  public let tokens: Int

  public init(sequences: Int, tokens: Int) {
    (self.sequences, self.tokens) = (sequences, tokens)
  }

  public var rows: Int { sequences * tokens }
}

/// A model's blocks one after the other over windows of text, each from its first position on, with what
/// the linear layers read handed out on the way. Used by one thread at a time.
///
/// Hidden states are f32 `[sequences][tokens][width]`, row-major, and stay on the model's device.
public final class WindowRun {
  /// Gets what some linear layers read, f32 `[rows][width]`, for the length of the call. Returns whether the run
  /// is to go on.
  public typealias Tap = (
    _ readers: [String], _ input: Buffer, _ rows: Int, _ width: Int
  ) throws -> Bool

  /// Ends a pass whose rest nobody needs.
  private struct Enough: Error {}

  public let model: CausalModel
  private let pool: BufferPool
  private var passages: [WindowShape: Passage] = [:]

  public init(_ model: CausalModel) {
    self.model = model
    pool = BufferPool(model.compute)
  }

  public var compute: any Compute { model.compute }

  /// Lends a buffer of unspecified content for the hidden states of some windows.
  public func lendStates<Result>(
    _ shape: WindowShape, _ body: (Buffer) throws -> Result
  ) throws -> Result {
    try pool.lend(shape.rows * model.hiddenSize, body)
  }

  /// What the first block reads of `ids` `[sequences][tokens]`. Throws `usage` for ids that are no tokens.
  public func embed<Result>(
    _ ids: [Int32], _ shape: WindowShape, _ body: (Buffer) throws -> Result
  ) throws -> Result {
    try model.checkIds(ids)
    let hidden = try model.ends.embed(ids, at: 0, shape.sequences, pool)
    defer { pool.give(hidden) }
    return try body(hidden)
  }

  /// Turns hidden states before some halves of a block into those after them; false where `tap` has ended the
  /// pass, and they are of no use. Throws `cannotRepresent`, naming the block, where they are not finite.
  @discardableResult
  public func run(
    _ block: DecoderBlock, _ halves: [BlockHalf], _ hidden: Buffer,
    _ shape: WindowShape, tap: Tap? = nil
  ) throws -> Bool {
    var pass = try block.pass(passage(shape), pool)
    if let tap {
      pass.tap = { readers, input, rows, width in
        if try !tap(readers, input, rows, width) { throw Enough() }
      }
    }
    do {
      try pool.lendCache(shape.rows * block.plan.attention.keyWidth) { cache in
        for half in halves { try pass.forward(half, hidden, cache) }
      }
    } catch is Enough {
      return false
    }
    try checkFinite(hidden, shape, block)
    return true
  }

  /// The rest of a half whose last linear layer reads `inner` `[rows][columns]`, of the hidden states before the
  /// half. Traps where the half ends with experts.
  public func finish(
    _ block: DecoderBlock, _ half: BlockHalf, _ hidden: Buffer, inner: Buffer, _ shape: WindowShape
  ) throws {
    guard let last = block.plan.lastLinear(of: half) else { preconditionFailure("experts end it") }
    try block.pass(passage(shape), pool).finish(half, hidden, inner: inner, last)
    try checkFinite(hidden, shape, block)
  }

  /// What the head reads of the last block's output, `[rows][width]`.
  public func headInput<Result>(
    _ hidden: Buffer, _ shape: WindowShape, _ body: (_ input: Buffer, _ width: Int) throws -> Result
  ) throws -> Result {
    let (ends, width, rows) = (model.ends, model.hiddenSize, shape.rows)
    if let norm = ends.finalNorm {
      try compute.normalize(hidden, rows: rows, width: width, norm, into: hidden)
    }
    guard let projection = ends.projectOut else { return try body(hidden, width) }
    return try pool.lend(rows * projection.rows) { projected in
      try compute.linear(hidden, tokens: rows, projection, bias: nil, into: projected)
      return try body(projected, projection.rows)
    }
  }

  private func passage(_ shape: WindowShape) throws -> Passage {
    if let known = passages[shape] { return known }
    let made = try Passage(
      sequences: shape.sequences, tokens: shape.tokens, start: 0, capacity: shape.tokens,
      length: shape.tokens, ropes: model.blueprint.ropes, model.loader)
    passages[shape] = made
    return made
  }

  private func checkFinite(_ hidden: Buffer, _ shape: WindowShape, _ block: DecoderBlock) throws {
    let found = try compute.withFloats(hidden, count: shape.rows * model.hiddenSize) {
      FloatStatistics(inParts: $0)
    }
    guard found.finiteCount < found.count else { return }
    throw Failure(
      .cannotRepresent, at: "\(model.loader.provider.path): \(block.plan.name)",
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
