public import Kernels
import TensorCore

/// A layer whose inputs stand in another order: their codes have moved, scales and offsets of groups have
/// not, and which inputs are in a group goes with them.
public struct ReorderedColumns: LayerAdapter {
  public let base: any PackedLayer
  public let form: QuantizedForm
  private let gather: Gather

  /// Traps where the permutation is not one of the columns.
  public init(_ base: any PackedLayer, _ permutation: Permutation) {
    precondition(permutation.count == base.form.columns)
    self.base = base
    var form = base.form
    form.grouping = form.grouping.reordered(by: permutation, columns: form.columns)
    self.form = form
    gather = Gather(base, .columns, permutation)
  }

  public var storesWords: Bool { false }
  public var isScattered: Bool { true }

  public func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try gather.readCodes(region, order, into: &codes, workspace)
  }

  public func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try packWords(region, order, into: &words, workspace)
  }
}
