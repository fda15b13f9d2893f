internal import Codecs
internal import Containers
internal import Kernels
internal import Models
internal import TensorCore

/// The weights of a checkpoint by their dense names, whatever layout they are packed in.
struct CheckpointWeights: WeightProvider {
  let path: String
  let names: Set<String>
  private let checkpoint: Checkpoint
  private let assume: ZeroRule?
  private let denseType: DType
  private let dense: [String: Tensor]
  /// Packed layers by the dense tensor they stand for: one, or one for each slice.
  private let packed: [String: [LayerClaim]]

  init(_ checkpoint: Checkpoint, assume: ZeroRule? = nil) {
    self.checkpoint = checkpoint
    self.assume = assume
    path = checkpoint.path
    denseType = checkpoint.config.denseType ?? .f16
    dense = Dictionary(
      checkpoint.denseTensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    packed = Dictionary(grouping: checkpoint.layers, by: \.dense.name)
    names = Set(dense.keys).union(packed.keys)
  }

  func matrix(_ name: String, slice: LinearPlan.Slice?, isTransposed: Bool) throws
    -> any WeightSource
  {
    if let claims = packed[name] {
      return PackedWeight(
        layer: try checkpoint.open(claim(name, claims, slice), assume: assume),
        denseType: denseType)
    }
    guard let tensor = dense[name] else { throw missing(name) }
    let place = slice.map { (index: $0.index, count: $0.count) }
    guard let matrix = ValueMatrix(tensor, slice: place, isTransposed: isTransposed) else {
      throw Failure(
        .malformed, at: tensor.place, "the tensor is no matrix of floating-point numbers",
        expected: slice.map { "three dimensions, the first \($0.count)" } ?? "two dimensions",
        found: "\(tensor.dtype) \(tensor.shape)")
    }
    return DenseWeight(name: name, matrix: matrix)
  }

  private func claim(_ name: String, _ claims: [LayerClaim], _ slice: LinearPlan.Slice?) throws
    -> LayerClaim
  {
    let found = claims.first { $0.slice?.index == slice?.index && $0.slice?.count == slice?.count }
    guard let found else {
      throw Failure(
        .malformed, at: "\(path): \(name)", "the packed layers of the tensor",
        expected: slice.map { "one for each of \($0.count)" } ?? "one", found: "\(claims.count)")
    }
    return found
  }

  func vector(_ name: String) throws -> [Float] {
    guard let tensor = dense[name] else { throw missing(name) }
    guard tensor.shape.rank == 1, FloatConversion.readable.contains(tensor.dtype) else {
      throw Failure(
        .malformed, at: tensor.place, "the tensor is no vector of floating-point numbers",
        expected: "one dimension", found: "\(tensor.dtype) \(tensor.shape)")
    }
    let stored = try tensor.contents()
    var floats = AlignedBytes(count: tensor.shape.count * 4)
    try floats.withMutableBytes(count: floats.count) {
      try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &$0)
    }
    return floats.withBytes { bytes in
      (0..<tensor.shape.count).map { bytes.float32(at: $0) }
    }
  }

  private func missing(_ name: String) -> Failure {
    Failure(.malformed, at: path, "a tensor is missing", expected: name, found: "none")
  }
}
