public import Kernels
public import TensorCore

/// Quantiles of f32 values for code tables, estimated block by block or found exactly.
public enum Quantiles {
  /// How quantiles are found.
  public enum Method: String, CaseIterable, Sendable {
    /// The mean over blocks of 4096 values of each block's quantile, as SRAM-Quantiles does
    /// (bitsandbytes before 0.47). Of values drawn alike, the standard error of a quantile q of n
    /// values with density f there is √(q(1−q)/n)/f, as for a full sort, plus a bias of the order
    /// of 1/4096 of the spread at the outermost quantiles. Blocks that are not alike make it
    /// another quantity: a mean of quantiles.
    case blocks
    /// The value at that rank of all values.
    case exact
  }

  /// Values of one block.
  public static let block = 4096
  /// Quantiles of one estimate.
  public static let count = 256

  /// 256 quantiles, ascending, at `offset` + i·(1 − 2·offset)/255: for 1/512 the middles of 256
  /// parts of equal weight. O(values).
  ///
  /// Of more than 4096 values the blocks method leaves out a last block that is not full; of
  /// fewer, all are one block. Throws `usage` for fewer than 256 values and an offset outside of
  /// 0 ..< 0.5, `cannotRepresent` where NaN takes the place of a quantile.
  public static func estimate(
    _ values: RawSpan, by method: Method = .blocks, offset: Double = 1.0 / 512,
    threads: Int = Processor.cores, on level: Processor.Level = .best
  ) throws(Failure) -> [Float] {
    let total = values.byteCount / 4
    guard total >= count, (0..<0.5).contains(offset) else {
      throw Failure(
        .usage, at: "quantiles", "too few values, or an offset out of range",
        expected: "at least \(count) values, 0 <= offset < 0.5", found: "\(total), \(offset)")
    }
    let found: [Float]
    switch method {
    case .blocks:
      let size = min(block, total)
      let ranks = blockRanks(of: size, offset: Float(offset))
      found = BlockQuantiles.mean(
        of: values, size: size, ranks: ranks, threads: threads, on: level
      ).map { Float($0) }
    case .exact:
      found = OrderStatistics.values(of: values, threads: threads, on: level) { number in
        number == total ? exactRanks(of: total, offset: offset) : []
      }
    }
    guard found.count == count, !found.contains(where: \.isNaN) else {
      throw Failure(.cannotRepresent, at: "quantiles", "a value is NaN")
    }
    return found
  }

  /// The values below which the given fractions of all values lie, by linear interpolation between
  /// the two nearest ranks, as numpy's `quantile` does. NaN is left out. O(values).
  ///
  /// Throws `usage` for more than 256 fractions, fractions outside of 0 … 1 or in descending
  /// order, and where there is no value.
  public static func interpolated(
    _ values: RawSpan, at fractions: [Double], threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) throws(Failure) -> [Double] {
    let isSorted = zip(fractions, fractions.dropFirst()).allSatisfy(<=)
    guard fractions.count <= count, isSorted, fractions.allSatisfy({ (0...1).contains($0) }) else {
      throw Failure(
        .usage, at: "quantiles", "fractions are out of range or order",
        expected: "at most \(count), ascending, 0 … 1")
    }
    var places: [Double] = []
    let found = OrderStatistics.values(of: values, threads: threads, on: level) { number in
      guard number > 0 else { return [] }
      places = fractions.map { $0 * Double(number - 1) }
      // Both neighbours of a place, each list ascending, so that both are once sorted.
      return places.flatMap { [Int($0), min(Int($0) + 1, number - 1)] }.sorted()
    }
    guard found.count == 2 * fractions.count else {
      throw Failure(.usage, at: "quantiles", "there is no value")
    }
    return try interpolate(found, places, count: values.byteCount / 4)
  }

  private static func interpolate(
    _ found: [Float], _ places: [Double], count: Int
  ) throws(Failure) -> [Double] {
    let ranks = places.flatMap { [Int($0), Int($0) + 1] }.sorted()
    let byRank = Dictionary(zip(ranks, found)) { first, _ in first }
    return places.map { place in
      let low = Double(byRank[Int(place)] ?? 0)
      let high = Double(byRank[Int(place) + 1] ?? 0)
      let part = place - place.rounded(.down)
      return part == 0
        ? low : part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part)
    }
  }

  /// Positions in a sorted block as the peer's kernel takes them, in f32.
  static func blockRanks(of size: Int, offset: Float) -> [Int] {
    let interval = (1 - 2 * offset) / 255
    return (0..<count).map { index in
      let step = Float(index) * interval
      return Int(((offset + step) * Float(size - 1)).rounded())
    }
  }

  private static func exactRanks(of total: Int, offset: Double) -> [Int] {
    (0..<count).map { index in
      let place = offset + Double(index) * (1 - 2 * offset) / 255
      return Int((place * Double(total - 1)).rounded())
    }
  }
}
