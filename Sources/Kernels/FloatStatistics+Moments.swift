extension FloatStatistics {
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
