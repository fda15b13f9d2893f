/// Values of one block to codes, as the optimizers' last step does it.
public struct StateQuantizer: Sendable {
  private let map: [Float]
  private let keepsSign: Bool
  private let rules: OptimizerRules
  /// For the CPU: a code for each of 65536 steps from −1 to 1.
  private let steps: [UInt8]

  /// `keepsSign`: the CUDA kernels move a code of the first state that has lost its value's sign
  /// by one, so that a momentum never turns round. The CPU code does not.
  public init(map: [Float], keepsSign: Bool, rules: OptimizerRules) {
    precondition(map.count == 256)
    (self.map, self.keepsSign, self.rules) = (map, keepsSign, rules)
    steps = rules == .cpu ? Self.steps(of: map) : []
  }

  /// The largest magnitude, NaN left out. O(values).
  public func scale(_ values: some Sequence<Float>) -> Float {
    values.reduce(0) { $1.magnitude > $0 ? $1.magnitude : $0 }
  }

  /// The code of one value. O(1).
  public func code(_ value: Float, _ absmax: Float) -> UInt8 {
    switch rules {
    case .cuda: signKept(search(value / absmax), of: value)
    case .cpu: stepped(value * (1 / absmax))
    }
  }

  /// Halves the table seven times, then compares with one midpoint: above it the neighbour, on it
  /// the code reached. NaN, which a block of zeros gives, ends at code 0.
  private func search(_ x: Float) -> UInt8 {
    var pivot = 127
    var upper = 255
    var lower = 0
    var step = 64
    while step > 0 {
      if x > map[pivot] {
        lower = pivot
        pivot += step
      } else {
        upper = pivot
        pivot -= step
      }
      step /= 2
    }
    let value = map[pivot]
    if x > value { return UInt8(x > (bound(upper, 255, 1) + value) * 0.5 ? upper : pivot) }
    return UInt8(x < (bound(lower, 0, map[0] < 0 ? -1 : 0) + value) * 0.5 ? lower : pivot)
  }

  /// The kernels start from ±1 or 0 as bounds, not from the ends of the table.
  private func bound(_ index: Int, _ end: Int, _ value: Float) -> Float {
    index == end ? value : map[index]
  }

  private func signKept(_ code: UInt8, of value: Float) -> UInt8 {
    guard keepsSign, (map[Int(code)].sign == .minus) != (value.sign == .minus) else { return code }
    return value > 0 ? code &+ 1 : code &- 1
  }

  private func stepped(_ x: Float) -> UInt8 {
    guard !x.isNaN else { return 0 }
    let held = max(-1, min(1, x))
    return steps[Int((held + 1) * 0.5 * 65535 + 0.5)]
  }

  /// For each step the first code whose upper midpoint does not lie below it.
  private static func steps(of map: [Float]) -> [UInt8] {
    var code = 0
    return (0...65535).map { step in
      let x = Float(step) / 65535 * 2 - 1
      while code < 255 && (map[code] + map[code + 1]) * 0.5 < x { code += 1 }
      return UInt8(code)
    }
  }
}
