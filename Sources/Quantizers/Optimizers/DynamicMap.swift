/// The tables of 8-bit optimizer states: seven decades of an exponent with ever more fractions.
public enum DynamicMap {
  /// For states that take both signs: 256 ascending values from −0.993 to 1 with 0 at 127.
  public static let signed = make(isSigned: true)
  /// For states that do not fall below zero: 256 ascending values from 0 to 1.
  public static let unsigned = make(isSigned: false)

  private static func make(isSigned: Bool) -> [Float] {
    var values: [Float] = [0, 1]
    var decade = 1e-6
    for exponent in 0..<7 {
      let points = 1 << (isSigned ? exponent : exponent + 1) + 1
      let ends = linspace(points)
      for (low, high) in zip(ends, ends.dropFirst()) {
        let value = Float(decade) * ((low + high) / 2)
        values += isSigned ? [value, -value] : [value]
      }
      decade = decades[exponent]
    }
    return values.sorted()
  }

  /// What follows 1e-6, each the nearest number to its power of ten.
  private static let decades = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]

  /// `points` values from 0.1 to 1, from both ends, each with one rounding, as torch makes them.
  private static func linspace(_ points: Int) -> [Float] {
    let start: Float = 0.1
    let step = (1 - start) / Float(points - 1)
    return (0..<points).map { index in
      index < points / 2
        ? start.addingProduct(step, Float(index))
        : Float(1).addingProduct(-step, Float(points - 1 - index))
    }
  }
}
