import CKernels
public import TensorCore

/// Arrays of floating-point numbers from one dtype to another.
///
/// To f32 every conversion is exact. From f32 it rounds to nearest, ties to even; what is too
/// large becomes infinite. NaN stays NaN: it keeps its sign and as much of the high end of its
/// payload as fits, and becomes quiet (BF16 to F32 and F32 to F32 leave even that alone).
public enum FloatConversion {
  /// The dtypes that can be read.
  public static let readable = Set(tables.keys).union(writable)

  /// The dtypes that can be written.
  public static let writable: Set<DType> = [.f32, .f16, .bf16]

  /// Without hashing: small tiles ask often.
  private static func isWritable(_ dtype: DType) -> Bool {
    dtype == .f32 || dtype == .f16 || dtype == .bf16
  }

  /// Elements of `dtype` to f32. O(elements). Traps if the lengths do not fit each other.
  ///
  /// Throws `unsupported` if `dtype` is not readable.
  public static func toFloat32(
    _ dtype: DType, _ source: RawSpan, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) throws(Failure) {
    let count = target.byteCount / 4
    if !isWritable(dtype) {
      guard let table = tables[dtype] else {
        throw Failure(.unsupported, at: dtype.rawValue, "cannot be read as numbers")
      }
      precondition(target.byteCount == count * 4 && source.byteCount == count)
      lookUp(source, in: table, into: &target, on: level)
      return
    }
    precondition(target.byteCount == count * 4 && source.byteCount == count * (dtype.bits / 8))
    // SAFETY: both hold `count` elements.
    unsafe lend(source, &target) {
      switch dtype {
      case .f16: unsafe level.kernels.pointee.f16_to_f32($0, $1, count)
      case .bf16: unsafe level.kernels.pointee.bf16_to_f32($0, $1, count)
      default: unsafe $1.copyMemory(from: $0, byteCount: count * 4)
      }
    }
  }

  /// f32 to elements of `dtype`. O(elements). Traps if the lengths do not fit each other.
  ///
  /// Throws `unsupported` if `dtype` is not writable.
  public static func fromFloat32(
    _ dtype: DType, _ source: RawSpan, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) throws(Failure) {
    guard isWritable(dtype) else {
      throw Failure(.unsupported, at: dtype.rawValue, "cannot be written from f32")
    }
    let count = source.byteCount / 4
    precondition(source.byteCount == count * 4 && target.byteCount == count * (dtype.bits / 8))
    // SAFETY: both hold `count` elements.
    unsafe lend(source, &target) {
      switch dtype {
      case .f16: unsafe level.kernels.pointee.f32_to_f16($0, $1, count)
      case .bf16: unsafe level.kernels.pointee.f32_to_bf16($0, $1, count)
      default: unsafe $1.copyMemory(from: $0, byteCount: count * 4)
      }
    }
  }

  /// Whole numbers of 16 bits as float32, which holds them exactly. Traps if the lengths do not fit.
  public static func fromUInt16(
    _ source: RawSpan, into target: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = source.byteCount / 2
    precondition(source.byteCount == count * 2 && target.byteCount == count * 4)
    // SAFETY: both hold `count` elements.
    unsafe lend(source, &target) { unsafe level.kernels.pointee.u16_to_f32($0, $1, count) }
  }

  /// float32 numbers as float64, which holds them exactly, from element `place` of the target on. Traps where they
  /// do not fit.
  public static func toFloat64(
    _ source: RawSpan, into target: inout MutableRawSpan, at place: Int
  ) {
    for index in 0..<source.byteCount / 4 {
      target.storeBytes(
        of: Double(source.float32(at: index)), toByteOffset: (place + index) * 8, as: Double.self)
    }
  }

  /// The values of all 256 bytes, for each dtype of one byte.
  private static let tables: [DType: [Float]] = [
    .f8e4m3: patterns.map(FloatFormat.f8e4m3.value),
    .f8e5m2: patterns.map(FloatFormat.f8e5m2.value),
    .f8e8m0: patterns.map(FloatFormat.valueOfE8M0),
    .f8e4m3fnuz: patterns.map(FloatFormat.f8e4m3fnuz.value),
    .f8e5m2fnuz: patterns.map(FloatFormat.f8e5m2fnuz.value),
  ]

  private static let patterns: Range<UInt32> = 0..<256

  private static func lookUp(
    _ source: RawSpan, in table: [Float], into target: inout MutableRawSpan,
    on level: Processor.Level
  ) {
    let count = source.byteCount
    // SAFETY: the table has 256 values, the target room for `count`.
    unsafe table.withUnsafeBytes { table in
      guard let table = table.baseAddress else { return }
      unsafe lend(source, &target) { unsafe level.kernels.pointee.lookup($0, table, $1, count) }
    }
  }
}
