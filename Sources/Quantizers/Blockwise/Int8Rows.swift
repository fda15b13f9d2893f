internal import Kernels
internal import TensorCore

/// LLM.int8()'s weights: each row, taken as float16, times 127 over its largest magnitude, rounded to
/// nearest, ties to even. Source: arXiv 2208.07339; `backends/default/ops.py` of bitsandbytes 0.50.
public struct Int8Rows: Sendable {
  public let rules: PeerRules

  public init(rules: PeerRules = .cuda) {
    self.rules = rules
  }

  /// The factor of a row from its largest magnitude; 0 where that is 0. BNB-47: torch divides a
  /// number by a tensor as the number times the reciprocal, and rounds twice.
  public func factor(absmax: Float) -> Float {
    guard absmax > 0 else { return 0 }
    return rules == .cuda ? 127 / absmax : 1 / absmax * 127
  }

  /// The largest magnitude of a row of float16 values, and whether all of them are finite. O(values).
  public func absmax(_ halves: RawSpan) -> (value: Float, isFinite: Bool) {
    Blockwise.halfAbsmax(halves)
  }

  /// A row of float16 values as signed bytes. O(values).
  public func quantize(_ halves: RawSpan, absmax: Float, into codes: inout MutableRawSpan) {
    Blockwise.signedBytes(halves, factor: factor(absmax: absmax), into: &codes)
  }
}
