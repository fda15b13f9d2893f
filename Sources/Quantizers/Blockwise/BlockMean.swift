internal import TensorCore

/// The mean of float32 values to the last bit (BNB-46).
struct BlockMean {
  let rules: PeerRules

  init(_ rules: PeerRules) {
    self.rules = rules
  }

  func mean(_ values: RawSpan) -> Float {
    let count = values.byteCount / 4
    guard count > 0 else { return 0 }
    switch rules {
    case .cuda:
      let sum = (0..<count).reduce(0.0) { $0 + Double(values.float32(at: $1)) }
      return Float(sum / Double(count))
    case .cpu: return CascadeSum(values).sum / Float(count)
    }
  }
}

/// torch's sum of a contiguous float32 tensor with vectors of eight, on one thread: four rows of
/// vectors side by side, each added in levels so that no partial sum grows long.
///
/// Source: `aten/src/ATen/native/cpu/SumKernel.cpp` of torch 2.
private struct CascadeSum {
  private static let rows = 4
  private static let levels = 4

  let values: [Float]
  /// Fewer values than a vector has are added one by one.
  private var lanes: Int { values.count < 8 ? 1 : 8 }
  /// Values that one step takes, a lane of a row for each.
  private var width: Int { lanes * Self.rows }

  init(_ values: RawSpan) {
    self.values = (0..<values.byteCount / 4).map { values.float32(at: $0) }
  }

  var sum: Float {
    let steps = values.count / width
    let vectors = values.count / lanes
    var sums = cascade(steps)
    for index in steps * width..<vectors * lanes {
      sums[index % lanes] += values[index]
    }
    for index in lanes..<width { sums[index % lanes] += sums[index] }
    let rest = values[(vectors * lanes)...].reduce(0, +)
    return sums[..<lanes].reduce(rest, +)
  }

  /// The sums over that many steps.
  private func cascade(_ steps: Int) -> [Float] {
    let power = max(4, Self.ceilingOfLog2(steps) / Self.levels)
    var sums = [[Float]](repeating: [Float](repeating: 0, count: width), count: Self.levels)
    var step = 0
    while step + (1 << power) <= steps {
      add(step..<step + (1 << power), to: &sums[0])
      step += 1 << power
      for level in 1..<Self.levels {
        move(level - 1, to: level, in: &sums)
        if step & (((1 << power) - 1) << (level * power)) != 0 { break }
      }
    }
    add(step..<steps, to: &sums[0])
    for level in 1..<Self.levels { move(level, to: 0, in: &sums) }
    return sums[0]
  }

  private func add(_ steps: Range<Int>, to sums: inout [Float]) {
    for step in steps {
      for index in 0..<width { sums[index] += values[step * width + index] }
    }
  }

  private func move(_ level: Int, to other: Int, in sums: inout [[Float]]) {
    for index in 0..<width {
      sums[other][index] += sums[level][index]
      sums[level][index] = 0
    }
  }

  private static func ceilingOfLog2(_ value: Int) -> Int {
    value <= 2 ? 1 : Int.bitWidth - (value - 1).leadingZeroBitCount
  }
}
