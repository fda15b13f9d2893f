import CKernels

/// What is in an array of f32 values. Statistics of parts merge into those of the whole.
///
/// The sums are of the finite values, in f64. Within one part, value i goes to lane i mod 8, each
/// lane adds in order, and the lanes are added as ((0+4)+(2+6)) + ((1+5)+(3+7)); parts are added in
/// the order they are merged. So the same parts give the same bits on every processor.
public struct FloatStatistics: Equatable, Sendable {
  public internal(set) var count = 0
  public internal(set) var nanCount = 0
  public internal(set) var infiniteCount = 0
  /// Zeros of either sign.
  public internal(set) var zeroCount = 0
  /// The smallest value that is not NaN, a zero as +0; +infinity if there is none.
  public internal(set) var minimum = Float.infinity
  /// The largest value that is not NaN, a zero as +0; -infinity if there is none.
  public internal(set) var maximum = -Float.infinity
  public internal(set) var sum = 0.0
  public internal(set) var sumOfSquares = 0.0

  /// The statistics of no values.
  public init() {}

  /// The statistics of one part, f32 values. O(values). Traps on a length that is not whole.
  public init(_ values: RawSpan, on level: Processor.Level = .best) {
    count = values.byteCount / 4
    precondition(values.byteCount == count * 4)
    var found = ck_statistics()
    // SAFETY: the kernel reads `count` values and writes one record.
    unsafe lend(values) { address, _ in
      unsafe level.kernels.pointee.statistics(address, count, &found)
    }
    guard count > 0 else { return }
    (nanCount, infiniteCount) = (Int(found.nan_count), Int(found.infinite_count))
    zeroCount = Int(found.zero_count)
    (minimum, maximum) = (found.minimum, found.maximum)
    (sum, sumOfSquares) = (found.sum, found.sum_of_squares)
  }

  /// Takes in the statistics of the part that comes next. O(1).
  public mutating func merge(_ next: FloatStatistics) {
    count += next.count
    nanCount += next.nanCount
    infiniteCount += next.infiniteCount
    zeroCount += next.zeroCount
    minimum = min(minimum, next.minimum)
    maximum = max(maximum, next.maximum)
    sum += next.sum
    sumOfSquares += next.sumOfSquares
  }
}
