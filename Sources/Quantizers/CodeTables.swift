/// The tables of numbers that codes of bitsandbytes stand for.
///
/// All are float32 in -1...1. Tables for eight bits have 256 entries, ascending; those of fewer bits
/// among them are filled up with zeros in the middle. Each is derived, step by step in the precision
/// of its source, so that every bit is the same; those made from data are `Quantiles.map`'s. Source:
/// `functional.py` of bitsandbytes 0.50.
public enum CodeTables {
  /// Evenly spaced numbers from `start` to `end`, as torch rounds them: from the nearer end, product
  /// and sum rounded once together.
  static func evenly(from start: Float, to end: Float, _ count: Int) -> [Float] {
    let step = (end - start) / Float(count - 1)
    return (0..<count).map { index in
      index < count / 2
        ? start.addingProduct(step, Float(index))
        : end.addingProduct(-step, Float(count - 1 - index))
    }
  }

  /// Divided by the largest, which becomes 1.
  static func normalised(_ values: [Float]) -> [Float] {
    let largest = values.max() ?? 1
    return values.map { $0 / largest }
  }

  /// Ascending, with zeros up to 256.
  static func filled(_ values: [Float]) -> [Float] {
    (values + [Float](repeating: 0, count: 256 - values.count)).sorted()
  }

  /// Whole and even steps. Signed, one value is given up so that 0 is among them.
  /// Traps outside of 2...8 bits.
  public static func linear(signed: Bool = true, bits: Int = 8) -> [Float] {
    precondition((2...8).contains(bits))
    let values = evenly(from: signed ? -1 : 0, to: 1, 1 << bits - (signed ? 1 : 0))
    let half = values.count / 2
    let gap = [Float](repeating: 0, count: 256 - values.count)
    return values[..<half] + gap + values[half...]
  }

  /// The dynamic map: each of seven decades has twice the numbers of the one below, all in the
  /// middle of even steps.
  public static func dynamic(signed: Bool = true) -> [Float] {
    let decades: [Float] = [1e-06, 1e-05, 0.0001, 0.001, 0.01, 0.1, 1]
    var values: [Float] = [0, 1]
    for (index, decade) in decades.enumerated() {
      let edges = evenly(from: 0.1, to: 1, 1 << (signed ? index : index + 1) + 1)
      let middles = zip(edges, edges.dropFirst()).map { decade * (($0 + $1) / 2) }
      values += signed ? middles + middles.map { -$0 } : middles
    }
    return values.sorted()
  }

  /// A grid of floating-point numbers with that many bits of exponent and mantissa, divided by its
  /// largest. It is none of the 8-bit formats of that name: exponents run the other way and all of
  /// them are numbers. Traps where there would be more than eight bits.
  public static func float(signed: Bool = true, exponent: Int, mantissa: Int) -> [Float] {
    precondition(exponent > 0 && mantissa >= 0 && exponent + mantissa + (signed ? 1 : 0) <= 8)
    let bias = 1 << (exponent - 1)
    var values: [Double] = []
    for field in 0..<1 << exponent {
      for fraction in 0..<1 << mantissa {
        let part = Double(fraction) / Double(1 << mantissa)
        let significand = field == 0 ? part : 1 + part
        let power = field == 0 ? -bias : bias + 1 - field
        let value = Double(sign: .plus, exponent: power, significand: significand)
        values += signed ? [value, -value] : [value]
      }
    }
    return normalised(filled(values.map { Float($0) }))
  }
}
