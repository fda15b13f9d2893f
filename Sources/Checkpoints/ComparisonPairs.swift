internal import Codecs
internal import Containers
internal import Kernels
internal import TensorCore

/// Layers that are there in both of two checkpoints, packed in at least one.
struct LayerPairs {
  /// How one side holds a layer.
  enum Side {
    case packed(LayerClaim)
    case dense(Tensor)

    /// The name under which a checkpoint lists it.
    var name: String {
      switch self {
      case .packed(let claim): claim.name
      case .dense(let tensor): tensor.name
      }
    }

    /// Its shape, in words.
    var summary: String {
      switch self {
      case .packed(let claim): "packed \(claim.rows) × \(claim.columns)"
      case .dense(let tensor): "dense \(tensor.dtype) \(tensor.shape)"
      }
    }
  }

  struct Pair {
    /// The side that is packed; the first where both are.
    let claim: LayerClaim
    let first: Side
    let second: Side
  }

  let a: Checkpoint
  let b: Checkpoint
  let pairs: [Pair]

  init(_ a: Checkpoint, _ b: Checkpoint) {
    self.a = a
    self.b = b
    let (inA, inB) = (Contents(a), Contents(b))
    let first = a.layers.compactMap { claim in
      inB.counterpart(of: claim).map { Pair(claim: claim, first: .packed(claim), second: $0) }
    }
    let second = b.layers.compactMap { claim -> Pair? in
      guard inA.layers[claim.name] == nil, let side = inA.counterpart(of: claim) else { return nil }
      return Pair(claim: claim, first: side, second: .packed(claim))
    }
    pairs = first + second
  }

  private struct Contents {
    let layers: [String: LayerClaim]
    let dense: [String: Tensor]

    init(_ checkpoint: Checkpoint) {
      layers = Dictionary(checkpoint.layers.map { ($0.name, $0) }) { first, _ in first }
      dense = Dictionary(checkpoint.denseTensors.map { ($0.name, $0) }) { first, _ in first }
    }

    func counterpart(of claim: LayerClaim) -> Side? {
      layers[claim.name].map(Side.packed) ?? dense[claim.dense.name].map(Side.dense)
    }
  }

  func names(_ side: KeyPath<Pair, Side>) -> Set<String> {
    Set(pairs.map { $0[keyPath: side].name })
  }

  /// What a checkpoint has of which the other has neither a partner nor a tensor of that name.
  func surplus(
    of checkpoint: Checkpoint, besides other: Checkpoint, _ side: KeyPath<Pair, Side>
  ) -> [String] {
    let paired = names(side)
    let others = Set(other.denseTensors.map(\.name))
    return checkpoint.layers.map(\.name).filter { !paired.contains($0) }
      + checkpoint.denseTensors.map(\.name).filter { !paired.contains($0) && !others.contains($0) }
  }

  /// Number by number where the forms agree, by value elsewhere. Throws `io` or `malformed`.
  func compare(
    _ options: CheckpointComparison.Options, progress: (@Sendable (Int, Int) -> Void)?
  ) throws -> [LayerComparison] {
    var results = pairs.map { LayerComparison(name: $0.claim.name) }
    var alike: [(index: Int, a: any PackedLayer, b: any PackedLayer)] = []
    var unlike: [(index: Int, a: ValueMatrix, b: ValueMatrix)] = []
    for (index, pair) in pairs.enumerated() {
      switch try way(of: pair, options) {
      case .numbers(let a, let b): alike.append((index, a, b))
      case .values(let a, let b): unlike.append((index, a, b))
      case .none(let reason): results[index].mismatch = reason
      }
    }
    let numbers = try LayerComparer(pairs: alike.map { ($0.a, $0.b) }, threads: options.threads)
      .run(progress: progress)
    for (task, result) in zip(alike, numbers) { results[task.index] = result }
    let values = try ValueComparer(pairs: unlike.map { ($0.a, $0.b) }, threads: options.threads)
      .run(progress: progress)
    for (task, result) in zip(unlike, values) {
      results[task.index].take(result, tolerance: options.toleranceULPs)
    }
    return results
  }

  /// How two sides can be compared, or why not.
  private enum Way {
    case numbers(any PackedLayer, any PackedLayer)
    case values(ValueMatrix, ValueMatrix)
    case none(String)
  }

  private func way(of pair: Pair, _ options: CheckpointComparison.Options) throws -> Way {
    let first = try layer(pair.first, of: a, options.assumeZeros, options.firstVersion)
    let second = try layer(pair.second, of: b, options.assumeZeros, options.secondVersion)
    if let first, let second, LayerComparer.mismatch(first.form, second.form) == nil {
      return .numbers(first, second)
    }
    guard let one = matrix(pair.first, first, pair.claim),
      let other = matrix(pair.second, second, pair.claim),
      (one.rows, one.columns) == (other.rows, other.columns)
    else { return .none("\(pair.first.summary) against \(pair.second.summary)") }
    return .values(one, other)
  }

  private func layer(
    _ side: Side, of checkpoint: Checkpoint, _ assume: ZeroRule?, _ version: GPTQ.Version?
  ) throws -> (any PackedLayer)? {
    guard case .packed(let claim) = side else { return nil }
    return try checkpoint.open(claim, assume: assume, version: version)
  }

  private func matrix(
    _ side: Side, _ layer: (any PackedLayer)?, _ claim: LayerClaim
  ) -> ValueMatrix? {
    if let layer { return ValueMatrix(layer) }
    guard case .dense(let tensor) = side else { return nil }
    return ValueMatrix(tensor, asPlaceOf: claim)
  }
}

extension LayerComparison {
  mutating func take(_ values: ValueComparison, tolerance: Int) {
    self.values = values
    isWithinTolerance = values.isEqual(within: tolerance)
  }
}
