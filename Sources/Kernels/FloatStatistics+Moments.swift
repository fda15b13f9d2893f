internal import Synchronization
internal import TensorCore

extension FloatStatistics {
  /// Statistics of many f32 values by all cores, part by part. O(values).
  public init(inParts values: RawSpan, threads: Int = Processor.cores) {
    let size = 1 << 18
    let parts = values.byteCount.dividedRoundingUp(by: size)
    let found = Mutex([FloatStatistics](repeating: FloatStatistics(), count: parts))
    // SAFETY: only read, for the length of the call.
    unsafe values.withUnsafeBytes { bytes in
      let numbers = unsafe Numbers(UnsafeMutableRawBufferPointer(mutating: bytes))
      parallelFor(parts, threads: threads) { part in
        let start = part * size / 4
        numbers.slice(start, min(size / 4, numbers.count - start)).withBytes {
          let own = FloatStatistics($0)
          found.withLock { $0[part] = own }
        }
      }
    }
    self = found.withLock(\.self).reduce(into: FloatStatistics()) { $0.merge($1) }
  }

  /// Values that are neither NaN nor infinite.
  public var finiteCount: Int { count - nanCount - infiniteCount }

  /// The mean of the values; nil where one is not finite, or there is none.
  public var mean: Double? {
    count > 0 && finiteCount == count ? sum / Double(count) : nil
  }

  /// The standard deviation of the values as a whole population.
  public var standardDeviation: Double? {
    guard let mean else { return nil }
    return max(0, sumOfSquares / Double(count) - mean * mean).squareRoot()
  }
}
