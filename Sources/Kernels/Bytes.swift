import CKernels

/// Passes over bytes: codes, zero points, whole files. O(bytes) each.
public enum Bytes {
  /// The number of positions at which two runs of equal length differ.
  public static func countDifferences(
    _ a: RawSpan, _ b: RawSpan, on level: Processor.Level = .best
  ) -> Int {
    precondition(a.byteCount == b.byteCount)
    var differences = 0
    // SAFETY: both have the same length.
    unsafe lend(a) { a, count in
      unsafe lend(b) { b, _ in
        differences = unsafe level.kernels.pointee.count_differences(a, b, count)
      }
    }
    return differences
  }

  /// Adds the number of times each value occurs to `bins`, which has 256 elements.
  public static func addHistogram(
    of bytes: RawSpan, to bins: inout [UInt64], on level: Processor.Level = .best
  ) {
    precondition(bins.count == 256)
    // SAFETY: there are 256 bins.
    unsafe bins.withUnsafeMutableBufferPointer { bins in
      unsafe lend(bytes) { address, count in
        unsafe level.kernels.pointee.histogram(address, count, bins.baseAddress)
      }
    }
  }

  /// (byte + `addend` modulo 256) & `mask` for each byte, into a target of the same length.
  public static func shift(
    _ source: RawSpan, adding addend: UInt8, mask: UInt8 = 0xFF,
    into target: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = source.byteCount
    precondition(target.byteCount == count)
    // SAFETY: both have the same length.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.shift($0, $1, count, addend, mask)
    }
  }

  /// (byte + `addend` modulo 256) & `mask` for each byte, in place.
  public static func shift(
    _ bytes: inout MutableRawSpan, adding addend: UInt8, mask: UInt8 = 0xFF,
    on level: Processor.Level = .best
  ) {
    // SAFETY: the kernel allows the source to be the target.
    unsafe bytes.withUnsafeMutableBytes { bytes in
      guard let address = bytes.baseAddress else { return }
      unsafe level.kernels.pointee.shift(address, address, bytes.count, addend, mask)
    }
  }

  /// (byte + `addend`) & `mask` in 16 bits for each byte, into a target of twice the length.
  public static func widen(
    _ source: RawSpan, adding addend: UInt16 = 0, mask: UInt16 = 0xFFFF,
    into target: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = source.byteCount
    precondition(target.byteCount == count * 2)
    // SAFETY: both hold `count` elements.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.widen($0, $1, count, addend, mask)
    }
  }

  /// The low byte of each 16-bit element less `subtrahend`, into a target of half the length. Returns
  /// every bit that is set in a difference, which modulo 65536 tells whether all are below a power of 2.
  public static func narrow(
    _ source: RawSpan, subtracting subtrahend: UInt16 = 0, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) -> UInt16 {
    let count = target.byteCount
    precondition(source.byteCount == count * 2)
    var seen: UInt16 = 0
    // SAFETY: both hold `count` elements.
    unsafe lend(source, &target) {
      seen = unsafe level.kernels.pointee.narrow($0, $1, count, subtrahend)
    }
    return seen
  }

  /// (byte >> `down`) & `mask` for each byte, into a target of the same length: one of the codes
  /// of every byte.
  ///
  /// Traps if `down` is not in 0...7 or the lengths differ.
  public static func extract(
    _ source: RawSpan, down: Int, mask: UInt8, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = source.byteCount
    precondition(target.byteCount == count && (0...7).contains(down))
    // SAFETY: both have the same length.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.extract($0, $1, count, UInt32(down), mask)
    }
  }

  /// The smallest and the largest byte; nil if there are none.
  public static func extremes(
    _ bytes: RawSpan, on level: Processor.Level = .best
  ) -> ClosedRange<UInt8>? {
    var low = UInt8.max
    var high = UInt8.min
    // SAFETY: the kernel reads `count` bytes and widens the two numbers.
    unsafe lend(bytes) { address, count in
      unsafe level.kernels.pointee.extremes(address, count, &low, &high)
    }
    return bytes.isEmpty ? nil : low...high
  }

  /// Whether every byte is `value`; true if there are none.
  public static func allEqual(
    _ bytes: RawSpan, to value: UInt8, on level: Processor.Level = .best
  ) -> Bool {
    extremes(bytes, on: level).map { $0 == value...value } ?? true
  }

  /// Sets every byte to `value`.
  public static func fill(_ bytes: inout MutableRawSpan, with value: UInt8) {
    // SAFETY: bytes of any memory may be set.
    unsafe bytes.withUnsafeMutableBytes { bytes in
      _ = unsafe bytes.initializeMemory(as: UInt8.self, repeating: value)
    }
  }
}
