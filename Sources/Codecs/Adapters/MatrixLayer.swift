public import Kernels
import TensorCore

/// A quantized matrix in memory as a layer, so that every layout can write it.
///
/// Whole zero points only: what quantizers make. Reading copies a region's numbers.
public struct MatrixLayer: PackedLayer {
  public let claim: LayerClaim
  private let matrix: QuantizedMatrix

  /// The layer of `name`. Traps where offsets are no whole zero points, or there are none.
  public init(_ matrix: QuantizedMatrix, name: String) {
    precondition(matrix.form.offset == .integer)
    self.matrix = matrix
    let form = matrix.form
    let size = form.columns.dividedRoundingUp(by: max(form.groups, 1))
    let groupSize: Int =
      if case .columns(let size) = form.grouping { size } else { size }
    claim = LayerClaim(
      name: name, layout: "", rows: form.rows, columns: form.columns, bits: form.grid.bits,
      groupSize: groupSize, parts: [:])
  }

  public var form: QuantizedForm { matrix.form }
  public var order: Order { .outputMajor }

  public func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnCodes(region, order, into: &codes, workspace) { rows in
      let width = region.columns.count
      for (position, row) in region.rows.enumerated() {
        let start = row * form.columns + region.columns.lowerBound
        var target = rows.part(position * width..<(position + 1) * width)
        target.copy(from: matrix.codes.rawSpan.part(start..<start + width))
      }
    }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    var values: [Float] = []
    values.reserveCapacity(region.count)
    forEachParameter(region, order) { values.append(matrix.scales[$0]) }
    guard form.scaleType != .f32 else { return scales.copy(from: values.rawSpan) }
    try FloatConversion.fromFloat32(form.scaleType, values.rawSpan, into: &scales)
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    var position = 0
    forEachParameter(region, order) { index in
      offsets.set(matrix.zeros[index], at: position)
      position += 1
    }
  }

  /// Places of a region's parameters in the matrix, as `order` walks through them.
  private func forEachParameter(_ region: Region, _ order: Order, _ body: (Int) -> Void) {
    switch order {
    case .outputMajor:
      for row in region.rows {
        for group in region.columns { body(row * form.groups + group) }
      }
    case .inputMajor:
      for group in region.columns {
        for row in region.rows { body(row * form.groups + group) }
      }
    }
  }
}
