internal import CKernels
internal import TensorCore

/// How AWQ turns the numbers of a group into codes 0 … 2^bits − 1, value = scale·(code − zero)
/// (`pseudo_quantize_tensor` of llm-awq and AutoAWQ).
///
/// Ranges reach from the smallest to the largest number and need not hold 0: scale = max(max − min,
/// 1e-5)/(2^bits − 1), zero = −min/scale, rounded and held among the codes. Symmetric ones: scale =
/// max(|max|, 1e-5)/(2^(bits−1) − 1), zero = 2^(bits−1). Rounding is to nearest, ties to even.
public struct AWQRanges: Sendable, Equatable {
  public var bits: Int
  public var isSymmetric: Bool
  /// Scales are rounded to F16 before codes are chosen, as they will be stored.
  public var roundsScales: Bool

  public init(bits: Int, isSymmetric: Bool, roundsScales: Bool = false) {
    (self.bits, self.isSymmetric, self.roundsScales) = (bits, isSymmetric, roundsScales)
  }

  /// What values f32 `[count]` become, `group` of which share a range: f32 `[count]`. Traps where lengths do
  /// not fit. O(count).
  public func round(
    _ values: RawSpan, group: Int, into rounded: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = values.byteCount / 4
    precondition(group > 0 && rounded.byteCount == count * 4)
    var parameters = AlignedBytes(count: count.dividedRoundingUp(by: group) * 8)
    var rule = rule
    parameters.withMutableBytes(count: parameters.count) { parameters in
      // SAFETY: all have the lengths that the kernel demands.
      unsafe lend(values, &rounded) { values, rounded in
        unsafe parameters.withUnsafeMutableBytes { parameters in
          let base = unsafe parameters.baseAddress?.assumingMemoryBound(to: Float.self)
          guard let scales = unsafe base else { return }
          unsafe level.kernels.pointee.awq_groups(
            values.assumingMemoryBound(to: Float.self), count, group, &rule,
            rounded.assumingMemoryBound(to: Float.self), nil, scales, scales + parameters.count / 8)
        }
      }
    }
  }

  /// Codes of values f32 `[count]`, one byte each, and the scale and zero point of each group.
  public func codes(
    _ values: RawSpan, group: Int, on level: Processor.Level = .best
  ) -> (codes: [UInt8], scales: [Float], zeros: [Float]) {
    let count = values.byteCount / 4
    precondition(group > 0)
    let groups = count.dividedRoundingUp(by: group)
    var codes = [UInt8](repeating: 0, count: count)
    var scales = [Float](repeating: 0, count: groups)
    var zeros = scales
    var rule = rule
    // SAFETY: as above.
    unsafe lend(values) { values, _ in
      unsafe codes.withUnsafeMutableBufferPointer { codes in
        unsafe scales.withUnsafeMutableBufferPointer { scales in
          unsafe zeros.withUnsafeMutableBufferPointer { zeros in
            unsafe level.kernels.pointee.awq_groups(
              values.assumingMemoryBound(to: Float.self), count, group, &rule, nil,
              codes.baseAddress, scales.baseAddress, zeros.baseAddress)
          }
        }
      }
    }
    return (codes, scales, zeros)
  }

  private var rule: ck_awq_rule {
    ck_awq_rule(
      top: Float(1 << bits - 1), half: Float(1 << (bits - 1)), is_symmetric: isSymmetric ? 1 : 0,
      rounds_to_f16: roundsScales ? 1 : 0)
  }
}
