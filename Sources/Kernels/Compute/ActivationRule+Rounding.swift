/// What each rule does to the input of a linear layer before it is multiplied in floating point.
///
/// A product of integer codes, scaled afterwards, is the product of the codes' values: so each rule is a
/// rounding of the input, and the weights stay what they are.
extension ActivationRule {
  /// The input [tokens][columns] rounded to the values its codes stand for. O(values).
  func rounded(_ input: [Float], columns: Int) -> [Float] {
    switch self {
    case .float: input
    case .int8(let group): byRuns(input, columns: columns, group: group ?? columns, Self.to127)
    case .dynamicInt8: byRuns(input, columns: columns, group: columns, Self.toInt8)
    case .dynamicFP8(let group, let powersOfTwo):
      byRuns(input, columns: columns, group: group ?? columns) { Self.toE4M3(&$0, powersOfTwo) }
    case .llmInt8(let threshold): Self.mixed(input, columns: columns, threshold)
    }
  }

  /// Applies `round` to runs of `group` columns within each token; the last may be shorter.
  private func byRuns(
    _ input: [Float], columns: Int, group: Int, _ round: (inout ArraySlice<Float>) -> Void
  ) -> [Float] {
    var output = input
    for token in stride(from: 0, to: input.count, by: max(columns, 1)) {
      for start in stride(from: token, to: token + columns, by: max(group, 1)) {
        round(&output[start..<min(start + group, token + columns)])
      }
    }
    return output
  }

  private static func absmax(_ run: ArraySlice<Float>) -> Float {
    run.reduce(0) { max($0, $1.magnitude) }
  }

  /// Multiples of absmax/127, nearest and ties to even.
  private static func to127(_ run: inout ArraySlice<Float>) {
    let largest = absmax(run)
    guard largest > 0, largest.isFinite else { return }
    for index in run.indices {
      run[index] = (run[index] * (127 / largest)).rounded(.toNearestOrEven) * (largest / 127)
    }
  }

  /// compressed-tensors' symmetric int8: the scale is absmax/127.5 (half of the range -128...127), codes
  /// are x/scale within the range, rounded to nearest, ties to even; a scale of 0 is f32's epsilon.
  private static func toInt8(_ run: inout ArraySlice<Float>) {
    let largest = absmax(run)
    let scale = largest == 0 ? Float.ulpOfOne : largest / 127.5
    for index in run.indices {
      let code = min(max(run[index] / scale, -128), 127).rounded(.toNearestOrEven)
      run[index] = code * scale
    }
  }

  /// E4M3: the scale is absmax/448, or the next power of two; codes are x/scale, rounded to nearest, ties to
  /// even.
  private static func toE4M3(_ run: inout ArraySlice<Float>, _ powersOfTwo: Bool) {
    let largest = absmax(run)
    var scale = largest == 0 ? Float.ulpOfOne : largest / 448
    if powersOfTwo, scale.isFinite, scale.significand > 1 { scale = scale.binade * 2 }
    for index in run.indices {
      run[index] = nearestE4M3(min(max(run[index] / scale, -448), 448)) * scale
    }
  }

  /// Three bits of mantissa; below 2⁻⁶ multiples of 2⁻⁹.
  static func nearestE4M3(_ value: Float) -> Float {
    guard value.isFinite, value != 0 else { return value }
    let step = Float(sign: .plus, exponent: max(Int(value.exponent), -6) - 3, significand: 1)
    return (value / step).rounded(.toNearestOrEven) * step
  }

  /// LLM.int8(): columns with a value (cut to f16) of at least the threshold stay as they are. The others are
  /// codes of absmax/127 of each token, where values at or above the threshold do not count.
  private static func mixed(_ input: [Float], columns: Int, _ threshold: Float) -> [Float] {
    var output = input
    let halves = input.map { Float(Float16($0)) }
    let isOutlier = { (value: Float) in threshold > 0 && value.magnitude >= threshold }
    var stays = [Bool](repeating: false, count: columns)
    for (index, value) in halves.enumerated() where isOutlier(value) {
      stays[index % columns] = true
    }
    for token in stride(from: 0, to: input.count, by: max(columns, 1)) {
      let line = halves[token..<token + columns]
      let largest = line.reduce(Float(0)) { isOutlier($1) ? $0 : max($0, $1.magnitude) }
      for column in 0..<columns where !stays[column] {
        let code =
          largest > 0 ? (halves[token + column] * (127 / largest)).rounded(.toNearestOrEven) : 0
        output[token + column] = code * (largest / 127)
      }
    }
    return output
  }
}
