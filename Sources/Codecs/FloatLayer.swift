import Kernels
import TensorCore

/// A layer of small floats with shared scales, open for reading: FP8, MXFP4, MXFP8, NVFP4.
///
/// Codes are the stored patterns, 4 or 8 bits each, `[row][column]` with the first of two in the
/// low half of a byte; their values are in the grid's table.
struct FloatLayer: PackedLayer {
  /// What becomes of a stored scale before it is multiplied with a value.
  enum Scaling: Sendable, Equatable {
    case asStored
    /// `s ÷ f` for a factor of the whole layer, in float32.
    case divided(by: Float)
    /// `s · f`, in float32.
    case multiplied(by: Float)
    /// `1 ÷ s`, in float32.
    case inverse
  }

  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let codes: Tensor
  private let scale: Tensor
  private let storedType: DType
  private let tiles: ScaleTiles
  private let scaling: Scaling

  init(_ claim: LayerClaim, _ weight: FloatWeight, scaling: Scaling) {
    self.claim = claim
    self.scaling = scaling
    codes = weight.codes
    scale = weight.scale
    tiles = weight.tiles
    storedType = weight.scaleType
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: weight.grid,
      grouping: .columns(size: weight.tiles.columns),
      scaleType: scaling == .asStored ? weight.scaleType : .f32, offset: .none)
  }

  /// Of the slices that share the tensors, the rows before this one's.
  private func rowsBefore(_ rowsEach: Int) -> Int { (claim.slice?.index ?? 0) * rowsEach }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnCodes(region, order, into: &codes, workspace) {
      try readRows(region, into: &$0, workspace)
    }
  }

  private func readRows(
    _ region: Region, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let first = rowsBefore(claim.rows)
    let rows = first + region.rows.lowerBound..<first + region.rows.upperBound
    guard form.grid.bits == 4 else {
      return try self.codes.readRectangle(
        into: &codes, rows: rows, rowBytes: claim.columns, run: region.columns)
    }
    let run = region.columns.lowerBound / 2..<region.columns.upperBound / 2
    try workspace.lend(rows.count * run.count) { bytes in
      try self.codes.readRectangle(
        into: &bytes, rows: rows, rowBytes: claim.columns / 2, run: run)
      BitStream.unpack(bits: 4, bytes.bytes, into: &codes)
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = form.scaleType.bits / 8
    try workspace.lend(region.count * size) { rows in
      try readTiles(region, workspace) { tileRows, first in
        let width = region.columns.count * size
        for (position, row) in region.rows.enumerated() {
          let tile = row / tiles.rows - first
          var target = rows.part(position * width..<(position + 1) * width)
          target.copy(from: tileRows.part(tile * width..<(tile + 1) * width))
        }
      }
      rows.moveRows(into: &scales, region, order, size: size)
    }
  }

  /// The rows of tiles that a region of rows × groups meets, in the form's type.
  private func readTiles(
    _ region: Region, _ workspace: Workspace, _ body: (_ tileRows: RawSpan, _ first: Int) -> Void
  ) throws {
    let first = region.rows.lowerBound / tiles.rows
    let last = (region.rows.upperBound - 1) / tiles.rows
    let count = (last + 1 - first) * region.columns.count
    let before = rowsBefore(tiles.down)
    let size = storedType.bits / 8
    try workspace.lend(count * size) { stored in
      try scale.readRectangle(
        into: &stored, rows: before + first..<before + last + 1, rowBytes: tiles.across * size,
        run: region.columns.lowerBound * size..<region.columns.upperBound * size)
      guard scaling != .asStored else { return body(stored.bytes, first) }
      try workspace.lend(count * 4) { floats in
        try FloatConversion.toFloat32(storedType, stored.bytes, into: &floats)
        for index in 0..<count {
          let value = scaling.apply(to: floats.bytes.float32(at: index))
          floats.set(value.bitPattern, at: index)
        }
        body(floats.bytes, first)
      }
    }
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {}
}

extension FloatLayer.Scaling {
  /// Each operation is rounded once.
  fileprivate func apply(to scale: Float) -> Float {
    switch self {
    case .asStored: scale
    case .divided(let factor): scale / factor
    case .multiplied(let factor): scale * factor
    case .inverse: 1 / scale
    }
  }
}
