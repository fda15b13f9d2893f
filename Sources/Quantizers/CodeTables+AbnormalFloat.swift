extension CodeTables {
  /// AbnormalFloat of four bits, by code: −1, six numbers, 0, seven numbers, 1, fitted to what
  /// absmax of blocks of `blockSize` makes of a normal weight. No checkpoint has it.
  ///
  /// On either side of 0 the numbers are those of the least mean |error| with ±1 among them, each
  /// the median of what is nearest to it; the innermost ones answer for all down to 0, as if 0
  /// itself were not in the table. Some 10⁵ series. Traps outside of 16...4096.
  ///
  /// Source: Yoshida, arXiv 2306.06965, whose table for 64 this is to the last of eight decimals.
  public static func abnormal(blockSize: Int = 64) -> [Float] {
    precondition((16...4096).contains(blockSize))
    let shares = BlockShare(blockSize: blockSize)
    let below = shares.levels(7).reversed().map { -Float($0) }
    return below + [0] + shares.levels(8).map { Float($0) }
  }
}

/// The distribution of |x| / max |x| over those of a block of normal numbers that are not its
/// largest, in f64.
private struct BlockShare {
  /// Largest magnitudes, evenly spaced, and how likely each is. Of so smooth a curve the plain sum
  /// is exact to rounding.
  private let points: [(most: Double, weight: Double)]

  private static let step = 0.2

  init(blockSize: Int) {
    points = (1...45).map { index in
      let most = Double(index) * Self.step
      var weight = Double(blockSize) * Self.step * 2 * NormalDistribution.density(most)
      // One is the largest and another is the number in question; all others are smaller.
      for _ in 0..<blockSize - 2 { weight *= Self.within(most) }
      return (most, weight)
    }
  }

  /// The probability of a magnitude below `x`.
  private static func within(_ x: Double) -> Double { 2 * NormalDistribution.probability(x) - 1 }

  /// The probability of a share below `x`.
  private func probability(_ x: Double) -> Double {
    points.reduce(0) { $0 + $1.weight * Self.within(x * $1.most) }
  }

  private func density(_ x: Double) -> Double {
    points.reduce(0) {
      $0 + $1.weight * 2 * NormalDistribution.density(x * $1.most) * $1.most
    }
  }

  /// `count` numbers of which the largest is 1, found by the smallest one.
  func levels(_ count: Int) -> [Double] {
    var (low, high) = (0.0, 1.0)
    for _ in 0..<44 {
      let middle = (low + high) / 2
      if let last = levels(count, from: middle).last, last < 1 {
        low = middle
      } else {
        high = middle
      }
    }
    return levels(count, from: low).dropLast() + [1]
  }

  /// The numbers above the first: as much lies between each one and the limit above it as below,
  /// and each limit lies in the middle of two. Empty where they lead beyond 1.
  private func levels(_ count: Int, from first: Double) -> [Double] {
    var levels = [first]
    var below = 0.0
    while levels.count < count {
      let level = levels[levels.count - 1]
      let above = 2 * probability(level) - below
      guard above < probability(1) else { return [] }
      levels.append(2 * limit(above, near: level) - level)
      below = above
    }
    return levels
  }

  /// Where the probability is `p`, by Newton's method from below, where the curve is concave.
  private func limit(_ p: Double, near start: Double) -> Double {
    var x = start
    for _ in 0..<40 {
      let step = (probability(x) - p) / density(x)
      x -= step
      if step.magnitude < 1e-14 { break }
    }
    return x
  }
}
