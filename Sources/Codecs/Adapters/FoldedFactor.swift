public import Kernels
public import TensorCore

/// A layer of LLM.int8() as whole codes under one scale a row: s·(q − 128) is (v · maximum) · 1/127
/// bit for bit for every code v a row could hold (`Formats/bitsandbytes.md`, BNB-24).
public struct FoldedFactor: LayerAdapter {
  public let base: any PackedLayer
  public let form: QuantizedForm
  /// One for each row, in float32.
  private let scales: [Float]

  /// nil where no type of `types` has such a scale for each row. Reads all scales. Throws `io`.
  public init?(_ base: any PackedLayer, to types: [DType], _ workspace: Workspace) throws {
    guard base.form.grid == .int8, let factor = base.form.factor, base.form.groups == 1 else {
      return nil
    }
    let maxima = try base.rowScales(workspace)
    for type in types {
      let scales = try Self.rounded(maxima.map { $0 * factor }, to: type, workspace)
      guard zip(maxima, scales).allSatisfy({ Self.isExact($0, factor, $1) }) else { continue }
      var form = base.form
      form.grid = .affine(bits: 8)
      form.offset = .integer
      form.scaleType = type
      form.factor = nil
      self.base = base
      self.form = form
      self.scales = scales
      return
    }
    return nil
  }

  private static func rounded(
    _ values: [Float], to type: DType, _ workspace: Workspace
  ) throws -> [Float] {
    try workspace.lend(values.count * type.bits / 8) { stored in
      try FloatConversion.fromFloat32(type, values.rawSpan, into: &stored)
      return try workspace.lend(values.count * 4) { floats in
        try FloatConversion.toFloat32(type, stored.bytes, into: &floats)
        return values.indices.map { floats.bytes.float32(at: $0) }
      }
    }
  }

  /// Whether a scale gives the weight of every signed byte.
  static func isExact(_ maximum: Float, _ factor: Float, _ scale: Float) -> Bool {
    guard maximum.isFinite && scale.isFinite else { return false }
    return (-128...127).allSatisfy { code in
      let weight = Float(code) * maximum * factor
      return weight.bitPattern == (Float(code) * scale).bitPattern
    }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard region.count > 0 else { return }
    let rows = self.scales[region.rows]
    try FloatConversion.fromFloat32(form.scaleType, Array(rows).rawSpan, into: &scales)
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    offsets.fill(UInt16(128))
  }
}

/// A symmetric layer of 8 bits and one scale a row as LLM.int8() stores it: the reverse of
/// `FoldedFactor`.
public struct UnfoldedFactor: LayerAdapter {
  public let base: any PackedLayer
  public let form: QuantizedForm
  private let maxima: [Float]

  /// nil where a row has no maximum that gives the same weights. Reads all scales. Throws `io`.
  public init?(_ base: any PackedLayer, _ workspace: Workspace) throws {
    let maxima = try base.rowScales(workspace).map(Self.maximum)
    guard !maxima.contains(nil) else { return nil }
    self.base = base
    self.maxima = maxima.compactMap(\.self)
    var form = base.form
    form.grid = .int8
    form.offset = .none
    form.grouping = .columns(size: form.columns)
    form.scaleType = .f32
    form.factor = Grid.int8Factor
    self.form = form
  }

  /// 127 · scale or a neighbour of it; nil where none is exact.
  private static func maximum(for scale: Float) -> Float? {
    let middle = scale * 127
    return [middle, middle.nextUp, middle.nextDown].first {
      FoldedFactor.isExact($0, Grid.int8Factor, scale)
    }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard region.count > 0 else { return }
    let rows = maxima[region.rows]
    scales.copy(from: Array(rows).rawSpan)
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {}
}

extension PackedLayer {
  /// The scales of a layer with one a row.
  fileprivate func rowScales(_ workspace: Workspace) throws -> [Float] {
    try workspace.lend(form.rows * 4) { floats in
      let region = Region(rows: 0..<form.rows, columns: 0..<1)
      try readFloatScales(region, .outputMajor, into: &floats, workspace)
      return (0..<form.rows).map { floats.bytes.float32(at: $0) }
    }
  }
}
