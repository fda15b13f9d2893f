public import Kernels

extension QuantizedForm {
  /// Cuts the codes into regions of about `bytes` codes that are whole in `order`'s minor axis and
  /// begin on the alignment of packed words.
  public func bands(_ order: Order, bytes: Int) -> [Region] {
    switch order {
    case .inputMajor:
      Self.cut(columns, width: rows, bytes).map { Region(rows: 0..<rows, columns: $0) }
    case .outputMajor:
      Self.cut(rows, width: columns, bytes).map { Region(rows: $0, columns: 0..<columns) }
    }
  }

  private static func cut(_ count: Int, width: Int, _ bytes: Int) -> [Range<Int>] {
    let step = Region.aligned(bytes / max(width, 1))
    return stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
  }
}

/// Sizes of bands, in bytes.
public enum BandSize {
  /// Where source and target walk the same way: small enough for a core's cache.
  public static let matched = 1 << 18
  /// Where one has to be turned: large enough for long runs on disk.
  public static let turned = 1 << 24
  /// Bytes of weights that are made at a time from a layer that is read across: a run on disk is 2 kB
  /// at least, and most layers leave room for the weights in the cache.
  public static func turnedDense(_ layer: any PackedLayer) -> Int {
    layer.interleaved == nil && !layer.isScattered ? 1 << 22 : 1 << 25
  }
}
