internal import Codecs
internal import Containers
internal import TensorCore

/// What becomes of one tensor of the source.
public struct SourceFate: Sendable, Equatable {
  public enum Fate: Sendable, Equatable {
    /// Byte for byte, under its own name.
    case copied
    /// Read for these output tensors, sorted by name.
    case converted(into: [String])
    /// Nothing of it is written, for a reason that is stated.
    case dropped(reason: String)
  }

  public let name: String
  /// The file of the output that holds the copy; nil where it was not copied.
  public let file: String?
  public let fate: Fate

  var json: JSON {
    switch fate {
    case .copied:
      ["name": .string(name), "fate": "copied", "file": file.map(JSON.string) ?? .null]
    case .converted(let names):
      ["name": .string(name), "fate": "converted", "into": .strings(names)]
    case .dropped(let reason):
      ["name": .string(name), "fate": "dropped", "reason": .string(reason)]
    }
  }
}

/// Sets every tensor of a source beside the output tensors that it goes into.
struct Reconciliation {
  private let claims: [String: LayerClaim]
  private var copied: Set<String> = []
  /// Output tensors by the dense tensor they are made from.
  private var made: [String: [String]] = [:]
  /// Output tensors by the dense place of their packed layer: slices of one tensor share it.
  private var encoded: [String: [String]] = [:]
  private var files: [String: String] = [:]
  /// Modules whose order of inputs has been moved into others.
  private let sorted: Set<String>

  init(
    _ source: Checkpoint, _ outputs: [ConversionPlan.Output], _ shards: ShardLayout,
    _ folding: OrderFolding
  ) {
    sorted = Set(folding.folds.map(\.linear))
    claims = Dictionary(source.layers.map { ($0.name, $0) }) { first, _ in first }
    for shard in shards.shards {
      for place in shard.layout.placements { files[place.info.name] = shard.name }
    }
    for output in outputs {
      let name = output.info.name
      switch output.recipe {
      case .copy(let tensor): copied.insert(tensor.name)
      case .pad, .reorder: made[name, default: []].append(name)
      case .quantize(_, let weight, _): made[weight.name, default: []].append(name)
      case .encode(_, let layer): encoded[place(of: layer), default: []].append(name)
      }
    }
  }

  private static let sortedReason =
    "inputs stand in the order of their groups, and so do the outputs that make them"

  private func place(of layer: any PackedLayer) -> String {
    (claims[layer.name] ?? layer.claim).dense.name
  }

  /// One entry for each tensor of the source, in its order. Throws `internal` where nothing is known of one.
  func fates(of source: Checkpoint) throws -> [SourceFate] {
    var parts: [String: (part: String, claim: LayerClaim)] = [:]
    for claim in source.layers {
      for (part, tensor) in claim.parts { parts[tensor.name] = (part, claim) }
    }
    return try source.tensors.tensors.map { tensor in
      let name = tensor.name
      if copied.contains(name) {
        return SourceFate(name: name, file: files[name], fate: .copied)
      }
      if let outputs = made[name] {
        return SourceFate(name: name, file: nil, fate: .converted(into: outputs))
      }
      guard let (part, claim) = parts[name], let outputs = encoded[claim.dense.name] else {
        throw Failure(.internal, at: name, "the plan does not say what becomes of the tensor")
      }
      let role = Role(part: part)
      if role == .order, sorted.contains(claim.module) {
        return SourceFate(name: name, file: nil, fate: .dropped(reason: Self.sortedReason))
      }
      let fate = role?.fate(place: claim.dense.name, outputs) ?? .converted(into: outputs)
      return SourceFate(name: name, file: nil, fate: fate)
    }
  }
}

extension Reconciliation {
  /// Parts that only some layouts store; in the others they go without saying.
  private enum Role {
    case shape, order, zeros, format

    init?(part: String) {
      switch part {
      case "weight_shape": self = .shape
      case "g_idx", "weight_g_idx": self = .order
      case "qzeros", "weight_zero_point": self = .zeros
      case "weight_format": self = .format
      default: return nil
      }
    }

    /// The names under which layouts store it.
    private var names: [String] {
      switch self {
      case .shape: ["weight_shape"]
      case .order: ["g_idx", "weight_g_idx"]
      case .zeros: ["qzeros", "weight_zero_point", "scaled_zeros", "biases"]
      case .format: ["weight_format"]
      }
    }

    private var reason: String {
      switch self {
      case .shape: "the shape stands in the header of the file"
      case .order: "groups lie in order, which the layout implies"
      case .zeros: "every zero point is the middle code, which the layout implies"
      case .format: "codes are stored in one order only"
      }
    }

    /// A dense weight has order and zero points in it.
    func fate(place: String, _ outputs: [String]) -> SourceFate.Fate {
      let isDense = outputs == [place]
      let isStored = outputs.contains { output in names.contains { output.hasSuffix("." + $0) } }
      let isUsed = isStored || isDense && (self == .order || self == .zeros)
      return isUsed ? .converted(into: outputs) : .dropped(reason: reason)
    }
  }
}
