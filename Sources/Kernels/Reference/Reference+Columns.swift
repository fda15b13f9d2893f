extension Reference {
  /// Scale and zero point of a group's numbers, by a rule without a search.
  public static func range(_ values: [Float], by rule: RangeRule) -> (scale: Float, zero: Float) {
    var low = min(0, values.min() ?? 0)
    var high = max(0, values.max() ?? 0)
    if rule.zero != nil {
      high = max(high, -low)
      if low < 0 || rule.mirrors { low = -high }
    }
    if low == 0, high == 0 { (low, high) = (-1, 1) }
    return scaled(low, high, rule)
  }

  /// The shrunk ranges of a search, each with its Σ importance·|error|^norm in f64.
  public static func ranges(
    _ values: [Float], importance: [Float]?, by rule: RangeRule, power: (Double, Double) -> Double
  ) -> [(scale: Float, zero: Float, error: Double)] {
    guard let search = rule.search else { return [] }
    let whole = range(values, by: rule)
    let low = -whole.zero * whole.scale
    return (0..<search.steps).map { step in
      let part = Float(1 - Double(step) / Double(search.grid))
      let found = scaled(low * part, (low + whole.scale * Float(rule.top)) * part, rule)
      let error = values.enumerated().reduce(0.0) { sum, one in
        let code = code(one.element, found.scale, found.zero, top: rule.top)
        let distance = Double(found.scale * (code - found.zero) - one.element).magnitude
        return sum + Double(importance?[one.offset] ?? 1) * power(distance, Double(search.norm))
      }
      return (found.scale, found.zero, error)
    }
  }

  /// Nearest to value/scale, ties to even, plus zero, in 0 … top.
  public static func code(_ value: Float, _ scale: Float, _ zero: Float, top: Int) -> Float {
    min(max((value / scale).rounded(.toNearestOrEven) + zero, 0), Float(top))
  }

  /// A row of a block rounded column by column with error feedback: codes and errors. `factor` is
  /// `[columns][stride]`, and so is `drift`.
  public static func feedback(
    _ values: [Float], factor: [Float], drift: [Float]?, stride: Int, scales: [Float],
    zeros: [Float], top: Int
  ) -> (codes: [UInt8], errors: [Float], seen: [Float]) {
    var (now, codes, errors, seen) = (values, [UInt8](), [Float](), [Float]())
    for i in now.indices {
      let code = code(now[i], scales[i], zeros[i], top: top)
      let error = (now[i] - scales[i] * (code - zeros[i])) / factor[i * stride + i]
      codes.append(UInt8(code))
      errors.append(error)
      seen.append(now[i])
      for j in now.indices where j > i {
        now[j] -= error * factor[i * stride + j]
        if let drift { now[j] += seen[i] * drift[i * stride + j] }
      }
    }
    return (codes, errors, seen)
  }

  private static func scaled(
    _ low: Float, _ high: Float, _ rule: RangeRule
  ) -> (scale: Float, zero: Float) {
    let scale = (high - low) / Float(rule.top)
    return (scale, rule.zero.map(Float.init) ?? (-low / scale).rounded(.toNearestOrEven))
  }
}
