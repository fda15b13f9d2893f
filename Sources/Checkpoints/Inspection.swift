public import Codecs
internal import Containers
public import TensorCore

/// What a checkpoint holds, from its headers and configs, and from a glance at its zero points.
public struct Inspection: Sendable {
  /// Like layers of all blocks together: `model.layers.#.mlp.down_proj`.
  public struct Kind: Sendable {
    public let name: String
    public let layers: [LayerClaim]

    public var first: LayerClaim { layers[0] }
    public var byteCount: Int { layers.reduce(0) { $0 + $1.byteCount } }
    public var weights: Int { layers.reduce(0) { $0 + $1.rows * $1.columns } }
  }

  public let checkpoint: Checkpoint
  /// Packed layers by kind, shape and width, in order of names.
  public let kinds: [Kind]
  /// Dense tensors, sorted by name.
  public let dense: [Tensor]
  /// What the zero points of GPTQ layers show; nil where there are none.
  public let zeroPoints: ZeroForensics?
  /// The checkpoint's findings and those of its zero points, gravest first.
  public let findings: [Finding]

  /// Reads at most 1 MiB of zero points at a glance, a sample of the codes too if `depth` asks for
  /// it. Throws `io`.
  public init(_ checkpoint: Checkpoint, _ depth: ZeroForensics.Depth = .glance) throws {
    self.checkpoint = checkpoint
    zeroPoints = try ZeroForensics(checkpoint, depth)
    findings = (checkpoint.findings + [zeroPoints?.finding].compactMap(\.self)).gravestFirst
    dense = checkpoint.denseTensors
    var kinds: [Kind] = []
    var positions: [String: Int] = [:]
    for layer in checkpoint.layers {
      let name = ConfigReview.kind(of: layer.name)
      let key = "\(name) \(layer.layout) \(layer.rows) \(layer.columns) \(layer.bits)"
      if let position = positions[key] {
        kinds[position] = Kind(name: name, layers: kinds[position].layers + [layer])
      } else {
        positions[key] = kinds.count
        kinds.append(Kind(name: name, layers: [layer]))
      }
    }
    self.kinds = kinds
  }

  /// Weights in packed layers; a 32-bit word of 4-bit codes counts eight.
  public var packedWeights: Int { kinds.reduce(0) { $0 + $1.weights } }
  public var packedBytes: Int { kinds.reduce(0) { $0 + $1.byteCount } }
  public var denseWeights: Int { dense.reduce(0) { $0 + $1.shape.count } }
  public var denseBytes: Int { dense.reduce(0) { $0 + $1.byteCount } }
  public var weights: Int { packedWeights + denseWeights }
  public var byteCount: Int { packedBytes + denseBytes }

  /// Bits a packed weight takes with its scales, zero points and index; nil without packed layers.
  public var packedBitsPerWeight: Double? { Self.bits(packedBytes, packedWeights) }
  /// Bits a weight takes over the whole checkpoint.
  public var bitsPerWeight: Double? { Self.bits(byteCount, weights) }

  private static func bits(_ bytes: Int, _ weights: Int) -> Double? {
    weights > 0 ? Double(bytes) * 8 / Double(weights) : nil
  }

  /// The model class the config names.
  public var architecture: String? {
    let model = checkpoint.config.model?.object
    return model?["architectures"]?.array?.first?.string ?? model?["model_type"]?.string
  }

  /// The quantization in one line: what the tensors are, or what the config declares.
  public var quantization: String {
    if let scheme = checkpoint.config.scheme {
      let layers = checkpoint.layers.count
      let writer = scheme.writer.map { ", written by \($0)" } ?? ""
      return "\(scheme.summary), \(layers) layers\(writer)"
    }
    if let method = checkpoint.config.method { return "\(method) (not read by this version)" }
    return checkpoint.layers.isEmpty
      ? "none" : "\(checkpoint.layers.count) packed layers, not declared by a config"
  }
}
