public import Kernels
import TensorCore

/// A layer that shows another one in a different form. What an adapter does not change it passes on:
/// it writes only the reads that differ.
public protocol LayerAdapter: PackedLayer {
  /// The layer that is shown.
  var base: any PackedLayer { get }
}

extension LayerAdapter {
  public var claim: LayerClaim { base.claim }
  public var order: Order { base.order }
  public var storesWords: Bool { base.storesWords }
  public var isScattered: Bool { base.isScattered }

  public func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try base.readCodes(region, order, into: &codes, workspace)
  }

  public func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try base.readWords(region, order, into: &words, workspace)
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try base.readScales(region, order, into: &scales, workspace)
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try base.readOffsets(region, order, into: &offsets, workspace)
  }

  public func countAmbiguousOffsets(_ workspace: Workspace) throws -> Int {
    try base.countAmbiguousOffsets(workspace)
  }
}
