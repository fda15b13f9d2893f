import CKernels
public import TensorCore

/// Codes of 4 bits, two in a byte with the first in its high half, as bitsandbytes packs them.
public enum Nibbles {
  /// Reads as many codes as fit in `codes` from the start of `bytes`. O(codes).
  ///
  /// Traps if `bytes` is too short.
  public static func unpack(
    _ bytes: RawSpan, into codes: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(bytes.byteCount >= count.dividedRoundingUp(by: 2))
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(bytes, &codes) { unsafe level.kernels.pointee.nibbles_unpack($0, $1, count) }
  }

  /// Writes the low 4 bits of each code to the start of `bytes`; a half that no code fills is 0.
  ///
  /// Traps if `bytes` is too short. O(codes).
  public static func pack(
    _ codes: RawSpan, into bytes: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(bytes.byteCount >= count.dividedRoundingUp(by: 2))
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, &bytes) { unsafe level.kernels.pointee.nibbles_pack($0, $1, count) }
  }

  /// Packed codes as numbers: table[q]·s, rounded to float32 and then to `type`.
  ///
  /// `table` is f32 [16]; `scales` are f32, one for each `group` codes, of the first of which
  /// `skipped` lie before `bytes`. Both numbers are even. O(codes). Traps if the lengths do not fit
  /// each other or `type` is not F32, F16 or BF16.
  public static func dequantize(
    _ bytes: RawSpan, table: RawSpan, group: Int, skipped: Int = 0, scales: RawSpan, as type: DType,
    into values: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    precondition(FloatConversion.writable.contains(type))
    let count = values.byteCount / (type.bits / 8)
    precondition(values.byteCount == count * type.bits / 8 && table.byteCount == 64)
    precondition(group > 0 && group % 2 == 0 && skipped % 2 == 0 && (0..<group).contains(skipped))
    precondition(bytes.byteCount >= count.dividedRoundingUp(by: 2))
    let groups = count == 0 ? 0 : (skipped + count).dividedRoundingUp(by: group)
    precondition(scales.byteCount == groups * 4)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(bytes, table, scales, &values) {
      let kernels = unsafe level.kernels.pointee
      switch type {
      case .f16: unsafe kernels.nibbles_to_f16($0, $1, $2, $3, count, group, skipped)
      case .bf16: unsafe kernels.nibbles_to_bf16($0, $1, $2, $3, count, group, skipped)
      default: unsafe kernels.nibbles_to_f32($0, $1, $2, $3, count, group, skipped)
      }
    }
  }
}

extension Dequantize {
  /// Multiplies each f32 value by `factor`, in place. O(values). Traps on a broken value.
  public static func multiply(
    _ values: inout MutableRawSpan, by factor: Float, on level: Processor.Level = .best
  ) {
    let count = values.byteCount / 4
    precondition(values.byteCount == count * 4)
    // SAFETY: the kernel reads and writes `count` values in place.
    unsafe values.withUnsafeMutableBytes { values in
      guard let address = values.baseAddress else { return }
      unsafe level.kernels.pointee.multiply(address, count, factor)
    }
  }
}
