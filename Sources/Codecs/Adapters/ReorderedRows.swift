public import Kernels
import TensorCore

/// A layer whose outputs stand in another order: codes, scales and offsets are those of the same outputs.
public struct ReorderedRows: LayerAdapter {
  public let base: any PackedLayer
  private let gather: Gather

  /// Traps where the permutation is not one of the rows.
  public init(_ base: any PackedLayer, _ permutation: Permutation) {
    precondition(permutation.count == base.form.rows)
    self.base = base
    gather = Gather(base, .rows, permutation)
  }

  public var form: QuantizedForm { base.form }
  public var isScattered: Bool { true }

  public func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try gather.readCodes(region, order, into: &codes, workspace)
  }

  /// A word holds codes of one output: words move as codes do.
  public func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard region.columns.count % Region.alignment == 0 else {
      return try packWords(region, order, into: &words, workspace)
    }
    let elements = Gather.Elements(size: 4, count: form.grid.bits)
    try gather.read(region, order, elements, into: &words, workspace) {
      try base.readWords($0, base.order, into: &$1, workspace)
    }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let elements = Gather.Elements(size: form.scaleType.bits / 8, unit: 1, count: 1)
    try gather.read(region, order, elements, into: &scales, workspace) {
      try base.readScales($0, base.order, into: &$1, workspace)
    }
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard form.offset != .none else { return }
    let elements = Gather.Elements(size: form.offset.byteCount, unit: 1, count: 1)
    try gather.read(region, order, elements, into: &offsets, workspace) {
      try base.readOffsets($0, base.order, into: &$1, workspace)
    }
  }
}
