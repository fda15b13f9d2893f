public import Kernels
public import TensorCore

extension Quantiles {
  /// A code table of 256 values made from data: 2ᵇⁱᵗˢ − 1 of its quantiles, zeros to make them
  /// 256, sorted and divided by the largest magnitude (`create_quantile_map` of bitsandbytes before
  /// 0.47). O(values).
  ///
  /// Throws as `estimate` does, and `usage` for bits outside of 2 … 8 or data of zeros alone.
  public static func map(
    of values: RawSpan, bits: Int = 8, by method: Method = .blocks,
    threads: Int = Processor.cores, on level: Processor.Level = .best
  ) throws(Failure) -> [Float] {
    guard (2...8).contains(bits) else {
      throw Failure(
        .usage, at: "quantile map", "no such number of bits", expected: "2 … 8", found: "\(bits)")
    }
    let wanted = 1 << bits - 1
    let all = try estimate(
      values, by: method, offset: 1 / Double(2 * wanted), threads: threads, on: level)
    let chosen = chosenIndices(wanted).map { all[$0] }
    let table = (chosen + [Float](repeating: 0, count: count - wanted)).sorted()
    let most = table.reduce(0) { max($0, $1.magnitude) }
    guard most > 0 else {
      throw Failure(.usage, at: "quantile map", "all values are zero")
    }
    return table.map { $0 / most }
  }

  /// `linspace(0, 255, wanted)` in f32, cut down to whole numbers: from both ends, each value with
  /// one rounding.
  static func chosenIndices(_ wanted: Int) -> [Int] {
    let step = Float(255) / Float(wanted - 1)
    return (0..<wanted).map { index in
      index < wanted / 2
        ? Int(step * Float(index))
        : Int(Float(255).addingProduct(-step, Float(wanted - 1 - index)))
    }
  }
}
