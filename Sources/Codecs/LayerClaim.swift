public import TensorCore

/// What names, shapes and the config say about one packed layer, without reading its data.
public struct LayerClaim: Sendable {
  /// One of several layers that share their tensors, as fused experts do: `[E, …]` is E layers.
  public struct Slice: Sendable, Equatable {
    public let index: Int
    public let count: Int

    public init(index: Int, count: Int) {
      self.index = index
      self.count = count
    }
  }

  /// The module's path, such as `model.layers.0.mlp.down_proj`; slices add `[index]`.
  public let name: String
  /// The layout, by the name of its codec.
  public let layout: String
  /// Outputs and inputs.
  public let rows: Int
  public let columns: Int
  public let bits: Int
  /// Columns that share a scale; equal to `columns` where there is one group.
  public let groupSize: Int
  /// The tensors that make up the layer, by part name (`qweight`, `scales`, …).
  public let parts: [String: Tensor]
  /// nil where the tensors belong to this layer alone.
  public let slice: Slice?
  /// Where the weight goes when it is written dense.
  public var dense: DensePlace
  /// Disagreements between the config and the tensors, and broken rules that do not stop reading.
  public let findings: [Finding]

  public init(
    name: String, layout: String, rows: Int, columns: Int, bits: Int, groupSize: Int,
    parts: [String: Tensor], slice: Slice? = nil, dense: DensePlace? = nil,
    findings: [Finding] = []
  ) {
    self.name = name
    self.layout = layout
    self.rows = rows
    self.columns = columns
    self.bits = bits
    self.groupSize = groupSize
    self.parts = parts
    self.slice = slice
    self.dense = dense ?? DensePlace(name: name + ".weight")
    self.findings = findings
  }

  public var groups: Int { columns.dividedRoundingUp(by: groupSize) }
  /// Bytes of the layer's parts; of shared tensors its share.
  public var byteCount: Int {
    parts.values.reduce(0) { $0 + $1.byteCount } / (slice?.count ?? 1)
  }
}

/// The dense tensor a layer becomes.
public struct DensePlace: Sendable, Equatable {
  public let name: String
  /// Whether the tensor is `[inputs, outputs]` instead of `[outputs, inputs]`.
  public let isTransposed: Bool

  public init(name: String, isTransposed: Bool = false) {
    self.name = name
    self.isTransposed = isTransposed
  }
}

extension LayerClaim {
  /// A part the layer was claimed with.
  func part(_ name: String) throws -> Tensor {
    guard let tensor = parts[name] else {
      throw Failure(.internal, at: self.name, "a claimed layer lost its parts")
    }
    return tensor
  }
}
