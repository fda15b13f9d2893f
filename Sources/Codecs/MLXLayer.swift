import Kernels
import TensorCore

/// An MLX layer open for reading: codes in bands of outputs.
struct MLXLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let weight: Tensor
  private let scales: Tensor
  private let biases: Tensor?
  /// nil for affine layers.
  private let mode: MLXFloatMode?

  init(_ claim: LayerClaim) throws {
    guard let weight = claim.parts["weight"], let scales = claim.parts["scales"] else {
      throw Failure(.internal, at: claim.name, "a claimed layer lost its parts")
    }
    self.claim = claim
    self.weight = weight
    self.scales = scales
    biases = claim.parts["biases"]
    mode = scales.dtype == .u8 ? try Self.mode(of: claim) : nil
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns,
      grid: mode?.grid ?? .affine(bits: claim.bits), grouping: .columns(size: claim.groupSize),
      scaleType: mode == nil ? scales.dtype : .f32,
      offset: mode == nil ? .added(scales.dtype) : .none)
  }

  private static func mode(of claim: LayerClaim) throws -> MLXFloatMode {
    let fitting = MLXFloatMode.allCases.first {
      $0.bits == claim.bits && $0.groupSize == claim.groupSize
    }
    guard let fitting else {
      throw Failure(.internal, at: claim.name, "a claimed layer has no mode")
    }
    return fitting
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let bits = claim.bits
    try workspace.lend(region.rows.count * (region.columns.count * bits / 8)) { words in
      try readWords(region, order, into: &words, workspace)
      switch order {
      case .outputMajor: BitStream.unpack(bits: bits, words.bytes, into: &codes)
      case .inputMajor:
        WordRows.unpack(bits: bits, words.bytes, columns: region.rows.count, into: &codes)
      }
    }
  }

  var storesWords: Bool { true }

  func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnWords(region, order, into: &words, workspace) { try readRowWords(region, into: &$0) }
  }

  /// Stored words of a region, `[row][word]`.
  private func readRowWords(_ region: Region, into words: inout MutableRawSpan) throws {
    let bits = claim.bits
    try weight.readRectangle(
      into: &words, rows: stored(region.rows), rowBytes: claim.columns * bits / 8,
      run: region.columns.lowerBound * bits / 8..<region.columns.upperBound * bits / 8)
  }

  func readScales(
    _ region: Region, _ order: Order, into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard let mode else { return try read(scales, region, order, into: &values, workspace) }
    try workspace.lend(region.count) { bytes in
      try read(scales, region, order, into: &bytes, workspace)
      try FloatConversion.toFloat32(mode.scaleType, bytes.bytes, into: &values)
    }
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard let biases else { return }
    try read(biases, region, order, into: &offsets, workspace)
  }

  /// A region of a `[rows, groups]` tensor, in either order.
  private func read(
    _ tensor: Tensor, _ region: Region, _ order: Order, into values: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let size = tensor.dtype.bits / 8
    let (rows, rowBytes) = (stored(region.rows), claim.groups * size)
    let run = region.columns.lowerBound * size..<region.columns.upperBound * size
    guard order == .inputMajor else {
      return try tensor.readRectangle(into: &values, rows: rows, rowBytes: rowBytes, run: run)
    }
    try workspace.lend(region.count * size) { rectangle in
      try tensor.readRectangle(into: &rectangle, rows: rows, rowBytes: rowBytes, run: run)
      Transpose.elements(
        rectangle.bytes, size: size, rows: rows.count, columns: region.columns.count,
        into: &values)
    }
  }

  /// The rows of the fused tensor that hold these rows of one of its layers (MLX-8).
  private func stored(_ rows: Range<Int>) -> Range<Int> {
    let first = (claim.slice?.index ?? 0) * claim.rows
    return first + rows.lowerBound..<first + rows.upperBound
  }
}

extension Transpose {
  /// Elements of 1, 2 or 4 bytes.
  static func elements(
    _ source: RawSpan, size: Int, rows: Int, columns: Int, into target: inout MutableRawSpan
  ) {
    switch size {
    case 1: bytes(source, rows: rows, columns: columns, into: &target)
    case 2: halves(source, rows: rows, columns: columns, into: &target)
    default: words(source, rows: rows, columns: columns, into: &target)
    }
  }
}
