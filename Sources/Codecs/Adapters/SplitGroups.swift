public import Kernels
import TensorCore

/// A layer whose groups are cut into smaller ones of the same scale and offset: the same weights,
/// exactly, for layouts that take only some group sizes.
public struct SplitGroups: LayerAdapter {
  public let base: any PackedLayer
  /// How many of the new groups lie in one of the old.
  private let factor: Int
  public let form: QuantizedForm

  /// nil where `size` does not divide the groups of `base`, or its columns are permuted.
  public init?(_ base: any PackedLayer, into size: Int) {
    guard case .columns(let old) = base.form.grouping, size > 0, old % size == 0,
      base.form.columns % size == 0
    else { return nil }
    self.base = base
    factor = old / size
    var form = base.form
    form.grouping = .columns(size: size)
    self.form = form
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = form.scaleType.bits / 8
    try spread(region, order, size: size, into: &scales, workspace) { coarse, bytes in
      try base.readScales(coarse, order, into: &bytes, workspace)
    }
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = form.offset.byteCount
    try spread(region, order, size: size, into: &offsets, workspace) { coarse, bytes in
      try base.readOffsets(coarse, order, into: &bytes, workspace)
    }
  }

  /// Reads the old groups that cover a region of new ones and repeats each element.
  private func spread(
    _ region: Region, _ order: Order, size: Int, into target: inout MutableRawSpan,
    _ workspace: Workspace, _ read: (Region, inout MutableRawSpan) throws -> Void
  ) throws {
    let first = region.columns.lowerBound / factor
    let end = region.columns.upperBound.dividedRoundingUp(by: factor)
    let coarse = Region(rows: region.rows, columns: first..<end)
    try workspace.lend(coarse.count * size) { bytes in
      try read(coarse, &bytes)
      let rows = region.rows.count
      for row in 0..<rows {
        for group in region.columns {
          let (from, to) =
            switch order {
            case .inputMajor:
              (
                (group / factor - first) * rows + row,
                (group - region.columns.lowerBound) * rows + row
              )
            case .outputMajor:
              (
                row * coarse.columns.count + group / factor - first,
                row * region.columns.count + group - region.columns.lowerBound
              )
            }
          var element = target.part(to * size..<(to + 1) * size)
          element.copy(from: bytes.bytes.part(from * size..<(from + 1) * size))
        }
      }
    }
  }
}
