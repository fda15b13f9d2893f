public import Codecs
internal import Kernels
internal import TensorCore

/// A layer of the source, and the same layer in the form its target takes.
public struct FittedLayer: Sendable {
  /// What it took to make it fit.
  public enum Change: Sendable, Equatable {
    /// Each group became several of the same scale and zero point; no weight changes.
    case splitGroups(from: Int, to: Int)
    /// Zeros for tensor parallelism behind the outputs, or behind the inputs.
    case padded(outputs: Int, inputs: Int)
    /// Outputs stand in the order in which another layer's groups are neighbours; no number changes.
    case reorderedOutputs
    /// Inputs stand in the order of their groups, as the outputs that make them do; no number changes.
    case sortedInputs
    /// Scales changed type, each exactly.
    case castScales(String)
    /// Codes and scales as the target's rule of decoding takes them; no weight changes.
    case restated
    /// Added terms were read as whole zero points, which moves weights by at most the difference.
    case recoveredZeros(largestDifference: Double)
    /// Rounded anew, on request: weights change.
    case requantized
  }

  public let source: any PackedLayer
  public let fitted: any PackedLayer
  public let changes: [Change]

  /// Whether rows and columns moved at most.
  var isMovedOnly: Bool {
    changes.allSatisfy { $0 == .reorderedOutputs || $0 == .sortedInputs }
  }
  public var isRequantized: Bool { changes.contains(.requantized) }
}

extension [FittedLayer] {
  /// What it took to make these layers fit, each once; of recovered zero points the largest move.
  public var changes: [FittedLayer.Change] {
    var changes: [FittedLayer.Change] = []
    var largest: Double?
    for change in flatMap(\.changes) {
      if case .recoveredZeros(let difference) = change {
        largest = Swift.max(largest ?? 0, difference)
      } else if !changes.contains(change) {
        changes.append(change)
      }
    }
    return changes + (largest.map { [.recoveredZeros(largestDifference: $0)] } ?? [])
  }
}

/// Finds a form of a layer that a layout can hold.
struct LayerFitter {
  let codec: any Codec
  let options: ConversionOptions

  /// The layer as the target will hold it, or why it can't.
  func fit(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> Result<FittedLayer, LayerRefusal> {
    switch try exactFit(layer, workspace) {
    case .success(let fitted): return .success(fitted)
    case .failure(let refusal):
      guard options.allowsRequantize, refusalOfEmbedding(layer) == nil else {
        return .failure(refusal)
      }
      return try requantize(layer, workspace).map { .success($0) } ?? .failure(refusal)
    }
  }

  /// Why the target can't hold a layer without rounding; nil where it can.
  func refusal(of layer: any PackedLayer, _ workspace: Workspace) throws -> Refusal? {
    if case .failure(let refusal) = try exactFit(layer, workspace) { refusal.refusal } else { nil }
  }

  private func exactFit(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> Result<FittedLayer, LayerRefusal> {
    if let refusal = refusalOfEmbedding(layer) { return .failure(refusal) }
    var fitted = layer
    var changes = changes(of: layer)
    if let restated = try restated(layer, workspace) {
      changes.append(.restated)
      fitted = restated
    }
    if let size = options.groupSize ?? codec.splitGroupSize(for: fitted.form),
      let split = SplitGroups(fitted, into: size), split.form.grouping != fitted.form.grouping
    {
      changes.append(.splitGroups(from: layer.claim.groupSize, to: size))
      fitted = split
    }
    if let type = codec.scaleTypes.first, !codec.scaleTypes.contains(fitted.form.scaleType),
      let cast = try CastScales(fitted, to: type, workspace)
    {
      changes.append(.castScales("\(fitted.form.scaleType) to \(type)"))
      fitted = cast
    }
    var facts = try LayerFacts(of: fitted, workspace)
    if refusal(of: facts) != nil, let recovered = try recovered(fitted, workspace) {
      changes.append(.recoveredZeros(largestDifference: recovered.loss.largestDifference))
      fitted = recovered
      facts = try LayerFacts(of: fitted, workspace)
    }
    if let refusal = refusal(of: facts) { return .failure(refusal) }
    return .success(FittedLayer(source: layer, fitted: fitted, changes: changes))
  }

  /// Loaders of most layouts take embeddings for dense, whatever lies beside them. What a checkpoint of
  /// the same layout packs stays as it is.
  private func refusalOfEmbedding(_ layer: any PackedLayer) -> LayerRefusal? {
    guard !codec.packsEmbeddings, layer.claim.layout != codec.name,
      LinearModules.isEmbedding(layer.name)
    else { return nil }
    let reason = Refusal(
      "it is an embedding, which loaders of \(codec.name) take for dense", remedy: "--rest dense")
    return LayerRefusal(name: layer.name, refusal: reason)
  }

  /// A layer that is multiplied with a factor without it, or one that the target stores with it.
  private func restated(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> (any PackedLayer)? {
    guard layer.form.factor != nil else { return try codec.adopted(layer, workspace) }
    guard layer.claim.layout != codec.name else { return nil }
    return try FoldedFactor(layer, to: codec.scaleTypes, workspace)
  }

  /// The layer with whole zero points, where its added terms hold nothing else.
  private func recovered(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> RecoveredZeros? {
    guard case .added = layer.form.offset else { return nil }
    do {
      let recovered = try RecoveredZeros(layer, workspace)
      return recovered.loss.isComplete ? recovered : nil
    } catch let failure as Failure where failure.kind == .cannotRepresent {
      return nil
    }
  }

  /// What has been done to a layer before.
  private func changes(of layer: any PackedLayer) -> [FittedLayer.Change] {
    switch layer {
    case let padded as PaddedLayer:
      changes(of: padded.base) + [
        .padded(outputs: padded.addedRows, inputs: padded.addedColumns)
      ]
    case let reordered as ReorderedRows: changes(of: reordered.base) + [.reorderedOutputs]
    case let reordered as ReorderedColumns: changes(of: reordered.base) + [.sortedInputs]
    default: []
    }
  }

  private func refusal(of facts: LayerFacts) -> LayerRefusal? {
    if let size = options.groupSize, facts.form.grouping != .columns(size: size) {
      let reason = Refusal(
        "its groups can't be split into \(size) exactly", remedy: "a size that divides them")
      return LayerRefusal(name: facts.name, refusal: reason)
    }
    guard let refusal = codec.refusal(of: facts) else { return nil }
    let reason = facts.form.factor == nil ? refusal : BitsAndBytesInt8.unfolded
    return LayerRefusal(name: facts.name, refusal: reason)
  }

  /// The first plain rounding the target takes: 4 bits and then 8, the layer's own group size first.
  private func requantize(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> FittedLayer? {
    let sizes = [options.groupSize ?? layer.claim.groupSize, 128, 64, 32]
    let widths = [layer.form.grid.bits, 4, 8]
    for bits in widths {
      for size in sizes where layer.form.columns % size == 0 {
        for lowestZero in [0, 1] {
          let rounded = Requantized(
            layer, bits: bits, groupSize: size, scaleType: codec.scaleTypes.first ?? .f16,
            symmetric: false, lowestZero: lowestZero)
          let facts = LayerFacts(
            name: layer.name, form: rounded.form, zeros: lowestZero...(1 << bits - 1),
            ambiguous: 0)
          if codec.refusal(of: facts) == nil {
            return FittedLayer(
              source: layer, fitted: rounded,
              changes: changes(of: layer) + [.requantized])
          }
        }
      }
    }
    return nil
  }
}

/// A layer that a target can't hold.
struct LayerRefusal: Error {
  let name: String
  let refusal: Refusal
}

extension [LayerRefusal] {
  /// What is to be said of these layers, each thing once, in the order of the first layer it is true of.
  func reasons(_ text: (LayerRefusal) -> String) -> [Failure.Reason] {
    var names: [String: [String]] = [:]
    var texts: [String] = []
    for layer in self {
      let text = text(layer)
      if names[text] == nil { texts.append(text) }
      names[text, default: []].append(layer.name)
    }
    return texts.map { Failure.Reason($0, names: names[$0] ?? []) }
  }
}
