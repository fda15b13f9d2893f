internal import CKernels
internal import TensorCore

/// Elements taken apart into planes of their bytes, and put together again. Plane j holds byte j of
/// every element, 0 the lowest. `turned` elements are rotated left by one bit before they are taken
/// apart, which brings the exponents of bf16 and f32 into the highest byte. O(bytes).
public enum Planes {
  /// Two planes of equal length into elements. Traps if the lengths do not fit.
  public static func merge(
    low: RawSpan, high: RawSpan, turned: Bool, into elements: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = low.byteCount
    precondition(high.byteCount == count && elements.byteCount == 2 * count)
    // SAFETY: all lengths are as the kernel demands.
    unsafe lend(low, high, &elements) {
      unsafe level.kernels.pointee.merge_2($0, $1, $2, count, turned ? 1 : 0)
    }
  }

  /// Elements of 2, 4 or 8 bytes into planes one behind the other. Eight-byte ones are not turned.
  /// Traps if the lengths do not fit.
  public static func split(
    _ elements: RawSpan, width: Int, turned: Bool, into planes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = elements.byteCount / width
    precondition(elements.byteCount == count * width && planes.byteCount == count * width)
    precondition(width == 2 || width == 4 || width == 8 && !turned)
    if width == 8 { return splitEights(elements, count, &planes) }
    let turn: UInt32 = turned ? 1 : 0
    // SAFETY: all lengths are as the kernels demand; the second plane begins at `count`.
    unsafe lend(elements, &planes) {
      if width == 2 {
        unsafe level.kernels.pointee.split_2($0, $1, $1 + count, count, turn)
      } else {
        unsafe level.kernels.pointee.split_4($0, $1, count, count, turn)
      }
    }
  }

  /// Planes one behind the other into elements of 2, 4 or 8 bytes. Traps if the lengths do not fit.
  public static func merge(
    _ planes: RawSpan, width: Int, turned: Bool, into elements: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = elements.byteCount / width
    precondition(elements.byteCount == count * width && planes.byteCount == count * width)
    precondition(width == 2 || width == 4 || width == 8 && !turned)
    if width == 8 { return mergeEights(planes, count, &elements) }
    let turn: UInt32 = turned ? 1 : 0
    // SAFETY: as above.
    unsafe lend(planes, &elements) {
      if width == 2 {
        unsafe level.kernels.pointee.merge_2($0, $0 + count, $1, count, turn)
      } else {
        unsafe level.kernels.pointee.merge_4($0, count, $1, count, turn)
      }
    }
  }

  private static func splitEights(
    _ elements: RawSpan, _ count: Int, _ planes: inout MutableRawSpan
  ) {
    for index in 0..<count {
      for byte in 0..<8 {
        planes.set(elements.uint8(at: index * 8 + byte), at: byte * count + index)
      }
    }
  }

  private static func mergeEights(
    _ planes: RawSpan, _ count: Int, _ elements: inout MutableRawSpan
  ) {
    for index in 0..<count {
      for byte in 0..<8 {
        elements.set(planes.uint8(at: byte * count + index), at: index * 8 + byte)
      }
    }
  }
}

/// Small codes gathered in whole bytes, as many as fit: what an entropy coder of bytes likes best.
public enum CodeBytes {
  /// Codes of `bits` bits in a byte: 8, 4, 2, 2, then 1.
  public static func perByte(bits: Int) -> Int {
    precondition((1...8).contains(bits))
    return 8 / bits
  }

  /// The bytes that `count` codes take, the last one possibly in part.
  public static func byteCount(bits: Int, count: Int) -> Int {
    count.dividedRoundingUp(by: perByte(bits: bits))
  }

  /// Gathers codes, one byte each, the first one of a byte in its lowest bits; the last byte is
  /// filled with zeros. O(codes). Traps if the lengths do not fit.
  public static func pack(
    bits: Int, _ codes: RawSpan, into bytes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(bytes.byteCount == byteCount(bits: bits, count: count))
    switch bits {
    case 1, 2, 4: BitStream.pack(bits: bits, codes, into: &bytes, on: level)
    case 3:
      // SAFETY: two codes for each whole pair.
      unsafe lend(codes, &bytes) { unsafe level.kernels.pointee.pair($0, $1, count / 2) }
      if count % 2 == 1 { bytes.set(codes.uint8(at: count - 1) & 7, at: count / 2) }
    default: bytes.copy(from: codes)
    }
  }

  /// The other way. O(codes). Traps if the lengths do not fit.
  public static func unpack(
    bits: Int, _ bytes: RawSpan, into codes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(bytes.byteCount == byteCount(bits: bits, count: count))
    switch bits {
    case 1, 2, 4: BitStream.unpack(bits: bits, bytes, into: &codes, on: level)
    case 3:
      // SAFETY: two codes for each whole pair.
      unsafe lend(bytes, &codes) { unsafe level.kernels.pointee.unpair($0, $1, count / 2) }
      if count % 2 == 1 { codes.set(bytes.uint8(at: count / 2) & 7, at: count - 1) }
    default: codes.copy(from: bytes)
    }
  }
}
