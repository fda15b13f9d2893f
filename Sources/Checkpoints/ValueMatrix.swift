internal import Codecs
internal import Kernels
internal import TensorCore

/// A matrix of weights to be read as float32, packed or dense, `[rows][columns]`.
struct ValueMatrix: Sendable {
  private enum Source: Sendable {
    case layer(any PackedLayer)
    /// `start` is the byte of the tensor where the matrix begins.
    case dense(Tensor, start: Int, isTransposed: Bool)
  }

  let rows: Int
  let columns: Int
  /// How it is stored, in words.
  let summary: String
  /// The type of the numbers; F32 for packed layers, whose weights are products of that type.
  let dtype: DType
  private let source: Source

  init(_ layer: any PackedLayer) {
    rows = layer.form.rows
    columns = layer.form.columns
    dtype = .f32
    source = .layer(layer)
    let form = layer.form
    let order = form.grouping.isPermuted ? ", permuted" : ""
    summary =
      "\(layer.claim.layout) \(form.grid.bits)-bit in groups of \(layer.claim.groupSize)\(order)"
  }

  /// The dense matrix at the place of a packed layer; nil where it has another shape or no floats.
  init?(_ tensor: Tensor, asPlaceOf claim: LayerClaim) {
    let matrix =
      claim.dense.isTransposed ? [claim.columns, claim.rows] : [claim.rows, claim.columns]
    guard tensor.shape.dimensions == (claim.slice.map { [$0.count] } ?? []) + matrix else {
      return nil
    }
    let size = tensor.byteCount / max(claim.slice?.count ?? 1, 1)
    self.init(
      tensor, rows: claim.rows, columns: claim.columns, start: (claim.slice?.index ?? 0) * size,
      isTransposed: claim.dense.isTransposed)
  }

  /// A whole dense tensor, as one row for each index of its first axis; nil where it has no floats.
  init?(_ tensor: Tensor) {
    let rows = tensor.shape.rank > 1 ? tensor.shape[0] : 1
    self.init(
      tensor, rows: rows, columns: rows > 0 ? tensor.shape.count / rows : 0, start: 0,
      isTransposed: false)
  }

  /// A dense matrix, or one of `[count][…][…]`, outputs first or turned; nil where it has another rank or no
  /// floats.
  init?(_ tensor: Tensor, slice: (index: Int, count: Int)?, isTransposed: Bool) {
    var sizes = tensor.shape.dimensions
    if let slice {
      guard sizes.count == 3, sizes[0] == slice.count else { return nil }
      sizes.removeFirst()
    }
    guard sizes.count == 2 else { return nil }
    if isTransposed { sizes.swapAt(0, 1) }
    let size = slice.map { tensor.byteCount / max($0.count, 1) } ?? 0
    self.init(
      tensor, rows: sizes[0], columns: sizes[1], start: (slice?.index ?? 0) * size,
      isTransposed: isTransposed)
  }

  private init?(_ tensor: Tensor, rows: Int, columns: Int, start: Int, isTransposed: Bool) {
    guard FloatConversion.readable.contains(tensor.dtype) else { return nil }
    self.rows = rows
    self.columns = columns
    dtype = tensor.dtype
    summary = "dense \(tensor.dtype)"
    source = .dense(tensor, start: start, isTransposed: isTransposed)
  }

  /// Reads whole rows, which begin on a multiple of `Region.alignment`. Throws `io`.
  func read(
    _ range: Range<Int>, into floats: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    switch source {
    case .layer(let layer):
      let region = Region(rows: range, columns: 0..<columns)
      try layer.readWeights(region, into: &floats, workspace)
    case .dense(let tensor, let start, false):
      let size = tensor.dtype.bits / 8
      try workspace.lend(range.count * columns * size) { stored in
        try tensor.read(into: &stored, at: start + range.lowerBound * columns * size)
        try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &floats)
      }
    case .dense(let tensor, let start, true):
      try readTurned(tensor, start, range, into: &floats, workspace)
    }
  }

  private func readTurned(
    _ tensor: Tensor, _ start: Int, _ range: Range<Int>, into floats: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let size = tensor.dtype.bits / 8
    try workspace.lend(range.count * columns * size) { stored in
      for column in 0..<columns {
        var run = stored.part(column * range.count * size..<(column + 1) * range.count * size)
        try tensor.read(into: &run, at: start + (column * rows + range.lowerBound) * size)
      }
      try workspace.lend(range.count * columns * 4) { wide in
        try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &wide)
        Transpose.words(wide.bytes, rows: columns, columns: range.count, into: &floats)
      }
    }
  }
}
