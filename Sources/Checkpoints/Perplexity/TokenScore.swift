internal import Synchronization

/// How well a model predicted one token, and how far it is from another model there.
public struct TokenScore: Sendable, Equatable {
  /// −ln p of the token, in f64.
  public var loss = 0.0
  /// The same by the other model; nil where there is none.
  public var base: Base?

  public struct Base: Sendable, Equatable {
    public var loss = 0.0
    /// Kullback–Leibler divergence Σ p·ln(p/q): p of the other model, q of this one.
    public var divergence = 0.0
    /// Whether both hold the same token for the most probable.
    public var hasSameTop = false

    /// How much more probable this model holds the token, −1…1.
    public func gain(_ loss: Double) -> Double {
      exponential(-loss) - exponential(-self.loss)
    }
  }

  /// Scores each row against its target, the first of each row's equals being the most probable. O(rows ·
  /// vocabulary); the number of threads does not change a bit.
  static func scores(
    _ rows: LogitBlock, base: LogitBlock?, targets: [UInt32], threads: Int
  ) -> [TokenScore] {
    let scores = Mutex([TokenScore](repeating: TokenScore(), count: rows.count))
    parallelFor(rows.count, threads: threads) { row in
      let width = rows.vocabularySize
      let range = row * width..<row * width + width
      let target = Int(targets[row])
      let own = LogRow(rows.values, range)
      var score = TokenScore(loss: own.total - Double(rows.values[range.lowerBound + target]))
      if let base {
        let other = LogRow(base.values, range)
        score.base = Base(
          loss: other.total - Double(base.values[range.lowerBound + target]),
          divergence: other.divergence(base.values, from: own, rows.values),
          hasSameTop: own.top == other.top)
      }
      scores.withLock { $0[row] = score }
    }
    return scores.withLock { $0 }
  }
}

/// A row of logits, summed up.
private struct LogRow {
  let range: Range<Int>
  /// The first index of the greatest.
  let top: Int
  /// ln Σ exp(x): NaN where one is NaN.
  let total: Double

  init(_ values: [Float], _ range: Range<Int>) {
    self.range = range
    var most = -Float.infinity
    var top = 0
    for index in range where values[index] > most {
      most = values[index]
      top = index - range.lowerBound
    }
    self.top = top
    let peak = Double(most)
    var sum = 0.0
    for index in range { sum += exponential(Double(values[index]) - peak) }
    total = peak + logarithm(sum)
  }

  /// Σ p·(ln p − ln q), p of this row and q of another.
  func divergence(_ values: [Float], from other: LogRow, _ others: [Float]) -> Double {
    var sum = 0.0
    for index in range {
      let log = Double(values[index]) - total
      let probability = exponential(log)
      if probability > 0 { sum += probability * (log - (Double(others[index]) - other.total)) }
    }
    return sum
  }
}
