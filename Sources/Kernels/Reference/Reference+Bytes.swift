extension Reference {
  /// The number of positions at which two runs of equal length differ.
  public static func countDifferences(_ a: [UInt8], _ b: [UInt8]) -> Int {
    zip(a, b).count { $0 != $1 }
  }

  /// The number of times each value occurs.
  public static func histogram(_ bytes: [UInt8]) -> [UInt64] {
    (UInt8.min...UInt8.max).map { value in UInt64(bytes.count { $0 == value }) }
  }

  /// (byte + `addend` modulo 256) & `mask`.
  public static func shift(_ bytes: [UInt8], adding addend: UInt8, mask: UInt8) -> [UInt8] {
    bytes.map { ($0 &+ addend) & mask }
  }

  /// (byte + `addend`) & `mask` in 16 bits.
  public static func widen(_ bytes: [UInt8], adding addend: UInt16, mask: UInt16) -> [UInt16] {
    bytes.map { (UInt16($0) &+ addend) & mask }
  }

  /// The low byte of each number less `subtrahend` modulo 65536, and every bit of a difference.
  public static func narrow(
    _ numbers: [UInt16], subtracting subtrahend: UInt16
  ) -> (bytes: [UInt8], seen: UInt16) {
    let differences = numbers.map { $0 &- subtrahend }
    return (
      differences.map { UInt8(truncatingIfNeeded: $0) }, differences.reduce(0) { $0 | $1 }
    )
  }

  /// (byte >> `down`) & `mask`.
  public static func extract(_ bytes: [UInt8], down: Int, mask: UInt8) -> [UInt8] {
    bytes.map { $0 >> UInt8(down) & mask }
  }

  /// The smallest and the largest byte; nil if there are none.
  public static func extremes(_ bytes: [UInt8]) -> ClosedRange<UInt8>? {
    guard let low = bytes.min(), let high = bytes.max() else { return nil }
    return low...high
  }
}
