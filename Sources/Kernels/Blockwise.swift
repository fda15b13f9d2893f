import CKernels
public import TensorCore

/// How numbers in -1...1 become codes of four bits: the code of x is the one listed for the number
/// of thresholds below x.
public struct NibbleRule: Sendable, Equatable {
  /// 15 numbers, ascending.
  public let thresholds: [Float]
  /// 16 codes by rank.
  public let codes: [UInt8]
  /// The code of what is no number.
  public let nanCode: UInt8
  /// Blocks are scaled as if their largest magnitude were at least this.
  public let floor: Float
  /// What the kernels take: thresholds, floor, codes, the code of NaN.
  let bytes: [UInt8]

  /// Traps where the counts are not 15 and 16, or a code has more than four bits.
  public init(thresholds: [Float], codes: [UInt8], nanCode: UInt8, floor: Float) {
    precondition(thresholds.count == 15 && codes.count == 16)
    precondition((codes + [nanCode]).allSatisfy { $0 < 16 })
    (self.thresholds, self.codes, self.nanCode, self.floor) = (thresholds, codes, nanCode, floor)
    bytes = (thresholds + [floor]).rawSpan.array + codes + [nanCode]
  }

  /// The code of a number.
  public func code(of x: Float) -> UInt8 {
    x.isNaN ? nanCode : codes[thresholds.count { x > $0 }]
  }
}

/// Blocks of values that share their largest magnitude, and the codes they become.
///
/// Values are float32 where no type is named; of float16 and bfloat16 it is their float32 that counts.
/// The last block may be partial. Each product is rounded once; the factor of a block is 1 divided
/// by its largest magnitude, rounded. O(values).
public enum Blockwise {
  /// The largest magnitude of each block, NaN passed over: `absmax` float32, one for each block.
  ///
  /// Returns how many blocks hold an infinity or NaN. Traps if the lengths do not fit each other or
  /// the type is not F32, F16 or BF16.
  public static func absmax(
    _ values: RawSpan, _ type: DType = .f32, block: Int, into absmax: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) -> Int {
    let count = check(values, type, block, absmax.byteCount)
    var wrong = 0
    // SAFETY: the lengths are as the kernels demand.
    unsafe lend(values, &absmax) {
      let kernels = unsafe level.kernels
      switch type {
      case .f32: wrong = unsafe kernels.pointee.block_absmax($0, count, block, $1)
      default:
        let isBrain: Int32 = type == .bf16 ? 1 : 0
        wrong = unsafe kernels.pointee.half_block_absmax($0, isBrain, count, block, $1)
      }
    }
    return wrong
  }

  /// Codes of four bits, two in a byte, the first in its high half. `block` is even; an odd count
  /// ends in the code of a value of 0.
  ///
  /// Traps if the lengths do not fit each other or the type is not F32, F16 or BF16.
  public static func nibbles(
    _ values: RawSpan, _ type: DType = .f32, absmax: RawSpan, block: Int, by rule: NibbleRule,
    into packed: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(values, type, block, absmax.byteCount)
    precondition(block % 2 == 0 && packed.byteCount == count / 2 + count % 2)
    // SAFETY: the lengths are as the kernels demand; the rule has the 81 bytes they take.
    unsafe lend(values, absmax, rule.bytes.rawSpan, &packed) {
      let kernels = unsafe level.kernels
      switch type {
      case .f32: unsafe kernels.pointee.block_nibbles($0, $1, $2, $3, count, block)
      default:
        let isBrain: Int32 = type == .bf16 ? 1 : 0
        unsafe kernels.pointee.half_block_nibbles($0, isBrain, $1, $2, $3, count, block)
      }
    }
  }

  /// Codes of eight bits: how many of the 255 ascending `thresholds` lie below the scaled value;
  /// 0 where that is NaN.
  ///
  /// Traps if the lengths do not fit each other.
  public static func bytes(
    _ values: RawSpan, absmax: RawSpan, block: Int, thresholds: [Float],
    into codes: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(values, .f32, block, absmax.byteCount)
    precondition(thresholds.count == 255 && codes.byteCount == count)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(values, absmax, thresholds.rawSpan, &codes) {
      unsafe level.kernels.pointee.block_bytes($0, $1, $2, $3, count, block)
    }
  }

  /// Codes of eight bits from a table of 65536 over -1...1; 0 where the scaled value is NaN.
  ///
  /// Traps if the lengths do not fit each other.
  public static func lookup(
    _ values: RawSpan, absmax: RawSpan, block: Int, table: [UInt8],
    into codes: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(values, .f32, block, absmax.byteCount)
    precondition(table.count == 65536 && codes.byteCount == count)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(values, absmax, table.rawSpan, &codes) {
      unsafe level.kernels.pointee.block_lookup($0, $1, $2, $3, count, block)
    }
  }

  /// The largest magnitude of float16 values, and whether all of them are finite.
  public static func halfAbsmax(
    _ values: RawSpan, on level: Processor.Level = .best
  ) -> (value: Float, isFinite: Bool) {
    precondition(values.byteCount % 2 == 0)
    var pattern: UInt16 = 0
    // SAFETY: the kernel reads the values lent.
    unsafe lend(values) { address, count in
      pattern = unsafe level.kernels.pointee.f16_absmax(address, count / 2)
    }
    return (FloatFormat.f16.value(UInt32(pattern)), pattern < 0x7C00)
  }

  /// Float16 values times `factor` as signed bytes: nearest, ties to even, at most 127 in magnitude;
  /// NaN becomes 0. Traps if the lengths do not fit each other.
  public static func signedBytes(
    _ halves: RawSpan, factor: Float, into codes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(halves.byteCount == count * 2)
    // SAFETY: both hold `count` elements.
    unsafe lend(halves, &codes) { unsafe level.kernels.pointee.f16_to_s8($0, $1, count, factor) }
  }

  private static func check(
    _ values: RawSpan, _ type: DType, _ block: Int, _ absmaxBytes: Int
  ) -> Int {
    precondition(type == .f32 || type == .f16 || type == .bf16)
    let size = type == .f32 ? 4 : 2
    let count = values.byteCount / size
    precondition(values.byteCount == count * size && block > 0)
    precondition(absmaxBytes == (count / block + (count % block == 0 ? 0 : 1)) * 4)
    return count
  }
}
