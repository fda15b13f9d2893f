/// The standard normal distribution in f64, from its power series.
enum NormalDistribution {
  /// The density at `x`; exact to some 1e-15 for |x| below 4.
  static func density(_ x: Double) -> Double {
    exponential(-x * x / 2) / (2 * Double.pi).squareRoot()
  }

  /// The probability of a value below `x`. Source: Abramowitz and Stegun 26.2.11.
  static func probability(_ x: Double) -> Double {
    var term = x
    var sum = x
    var odd = 3.0
    while term.magnitude > sum.magnitude * 1e-17 {
      term *= x * x / odd
      sum += term
      odd += 2
    }
    return 0.5 + sum * density(x)
  }

  /// The value below which a share `p` of 0.001...0.999 lies, by Newton's method.
  static func quantile(_ p: Double) -> Double {
    var x = 0.0
    for _ in 0..<40 {
      let step = (probability(x) - p) / density(x)
      x -= min(max(step, -0.5), 0.5)
      if step.magnitude < 1e-16 { break }
    }
    return x
  }

  /// e to the power of x, from halves whose series is short.
  static func exponential(_ x: Double) -> Double {
    var part = x
    var halvings = 0
    while part.magnitude > 0.03125 {
      part /= 2
      halvings += 1
    }
    var term = 1.0
    var sum = 1.0
    for index in 1..<14 {
      term *= part / Double(index)
      sum += term
    }
    for _ in 0..<halvings { sum *= sum }
    return sum
  }
}
