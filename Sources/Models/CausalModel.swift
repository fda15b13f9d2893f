public import Kernels
public import TensorCore

/// A decoder-only language model on a device: token ids to logits.
///
/// The weights do not change; passes keep what they need in a `ModelState` of their own.
public final class CausalModel: Sendable {
  public let architecture: Architecture
  public let blueprint: Blueprint
  /// What the checkpoint holds besides, which is left alone.
  public let warnings: [Failure]
  public let compute: any Compute
  let loader: WeightLoader
  let ends: ModelEnds
  /// nil where each block is loaded when it is needed.
  private let blocks: [DecoderBlock]?

  public var vocabularySize: Int { blueprint.vocabularySize }
  public var hiddenSize: Int { blueprint.hiddenSize }
  public var blockCount: Int { blueprint.blocks.count }
  /// Positions the model was made for; nil where nothing limits them.
  public var maximumPositions: Int? {
    blueprint.hasLastPosition ? blueprint.maximumPositions : nil
  }

  /// Reads embedding, final norm and head, and with `keepsBlocks` all blocks; without, a block is loaded each
  /// time it is asked for. `path` is the config's, for messages; `activations` says how the input of a linear
  /// layer is treated.
  ///
  /// Throws `unsupported` for an unknown architecture, `malformed` for tensors that are missing, surplus or
  /// of another shape than the config says (all of the model's, read or not), and `io`.
  public init(
    config: JSONObject, path: String, weights: any WeightProvider, compute: any Compute,
    keepsBlocks: Bool = true,
    activations: @escaping @Sendable (_ linear: String) -> ActivationRule = { _ in .float }
  ) throws {
    let fields = ConfigFields(object: config, path: path)
    architecture = try Architecture.find(fields)
    let blueprint = try architecture.makeBlueprint(fields, weights.names)
    let loader = WeightLoader(provider: weights, compute: compute, activations: activations)
    warnings = try NameCensus(blueprint, weights).check()
    for plan in blueprint.allMatrices(weights.names) { _ = try loader.source(plan) }
    self.blueprint = blueprint
    self.compute = compute
    self.loader = loader
    ends = try ModelEnds(blueprint, from: loader)
    if !keepsBlocks { try blueprint.blocks.forEach(loader.checkVectors) }
    blocks =
      keepsBlocks
      ? try blueprint.blocks.map { try DecoderBlock($0, blueprint.ropes, from: loader) } : nil
  }

  /// A block with its weights: the one that is kept, or loaded anew.
  public func block(_ index: Int) throws -> DecoderBlock {
    if let blocks { return blocks[index] }
    return try DecoderBlock(blueprint.blocks[index], blueprint.ropes, from: loader)
  }

  /// Room for `capacity` positions of each of `sequences`. Throws `usage` where the model has no such
  /// positions.
  public func makeState(sequences: Int = 1, capacity: Int) throws -> ModelState {
    guard sequences > 0, capacity > 0 else {
      throw Failure(
        .usage, at: loader.provider.path, "the count of sequences or positions",
        expected: "at least 1", found: "\(sequences) and \(capacity)")
    }
    try checkLength(capacity)
    guard sequences.multiplied(by: capacity)?.multiplied(by: 1 << 30) != nil else {
      throw Failure(
        .usage, at: loader.provider.path, "the context is too long", expected: "less",
        found: "\(sequences) × \(capacity) tokens")
    }
    return try ModelState(blueprint, sequences: sequences, capacity: capacity, compute)
  }

  func checkLength(_ tokens: Int) throws {
    guard let maximumPositions, tokens > maximumPositions else { return }
    throw Failure(
      .usage, at: loader.provider.path, "the context is longer than the model allows",
      expected: "at most \(maximumPositions) tokens", found: "\(tokens)")
  }

  /// Bytes of weights that the products of one token read; of a model with experts all of them.
  public var weightBytes: Int {
    (blocks ?? []).reduce(ends.head.byteCount) { $0 + $1.weights.byteCount }
  }
}
