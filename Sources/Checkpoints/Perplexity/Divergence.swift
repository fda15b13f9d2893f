/// How far a model's predictions are from another's, token by token: what llama.cpp's `perplexity
/// --kl-divergence` reports, by the same formulas.
public struct Divergence: Sendable {
  private var own = SampleMoments()
  private var base = SampleMoments()
  /// Σ of products of both losses.
  private var products = 0.0
  private var divergences: [Double] = []
  private var gains: [Double] = []
  private var sameTops = 0

  public init() {}

  public mutating func add(_ loss: Double, _ other: TokenScore.Base) {
    own.add(loss)
    base.add(other.loss)
    products += loss * other.loss
    divergences.append(other.divergence)
    gains.append(other.gain(loss))
    if other.hasSameTop { sameTops += 1 }
  }

  public var tokens: Int { divergences.count }
  public var basePerplexity: Double { exponential(base.mean) }
  public var baseError: Double { basePerplexity * base.error }

  /// A number and its standard deviation.
  public struct Estimate: Sendable, Equatable {
    public var value: Double
    public var error: Double
  }

  /// The covariance of the mean losses.
  private var covariance: Double {
    guard tokens > 1 else { return 0 }
    let count = Double(tokens)
    return (products / count - own.mean * base.mean) / (count - 1)
  }

  /// ln(PPL(model) / PPL(base)).
  public var logRatio: Estimate {
    let variance = own.error * own.error + base.error * base.error - 2 * covariance
    return Estimate(value: own.mean - base.mean, error: max(variance, 0).squareRoot())
  }

  /// PPL(model) / PPL(base).
  public var ratio: Estimate {
    let log = logRatio
    let ratio = exponential(log.value)
    return Estimate(value: ratio, error: ratio * log.error)
  }

  /// PPL(model) − PPL(base).
  public var difference: Estimate {
    let perplexity = exponential(own.mean)
    let (error, other) = (perplexity * own.error, baseError)
    let variance =
      error * error + other * other - 2 * perplexity * basePerplexity * covariance
    return Estimate(value: perplexity - basePerplexity, error: max(variance, 0).squareRoot())
  }

  /// The correlation of ln PPL(model) and ln PPL(base); nil where one does not vary.
  public var correlation: Double? {
    let scale = own.error * base.error
    return scale > 0 ? covariance / scale : nil
  }

  /// The mean Kullback–Leibler divergence.
  public var meanDivergence: Estimate { Self.mean(divergences) }
  /// The mean of Δp, the probability of the right token by the model less that by the base.
  public var meanGain: Estimate { Self.mean(gains) }

  /// √ of the mean of Δp².
  public var rootMeanSquareGain: Estimate {
    let square = Self.mean(gains.map { $0 * $0 })
    let root = square.value.squareRoot()
    return Estimate(value: root, error: root > 0 ? square.error / (2 * root) : 0)
  }

  /// The share of tokens where both hold the same token for the most probable.
  public var sameTop: Estimate {
    let share = tokens > 0 ? Double(sameTops) / Double(tokens) : .nan
    let spread = tokens > 1 ? (share * (1 - share) / Double(tokens - 1)).squareRoot() : 0
    return Estimate(value: share, error: spread)
  }

  private static func mean(_ values: [Double]) -> Estimate {
    var moments = SampleMoments()
    for value in values { moments.add(value) }
    return Estimate(value: moments.mean, error: moments.error)
  }

  // MARK: Quantiles

  /// The ranks that are reported, from the greatest to the least, by name.
  static let divergenceRanks: [(name: String, rank: Double)] = [
    ("maximum", 1), ("99.9%", 0.999), ("99%", 0.99), ("95%", 0.95), ("90%", 0.9),
    ("median", 0.5), ("10%", 0.1), ("5%", 0.05), ("1%", 0.01), ("0.1%", 0.001),
    ("minimum", 0),
  ]
  static let gainRanks: [(name: String, rank: Double)] = [
    ("maximum", 1), ("99.9%", 0.999), ("99%", 0.99), ("95%", 0.95), ("90%", 0.9), ("75%", 0.75),
    ("median", 0.5), ("25%", 0.25), ("10%", 0.1), ("5%", 0.05), ("1%", 0.01), ("0.1%", 0.001),
    ("minimum", 0),
  ]

  public var divergenceQuantiles: [(name: String, value: Double)] {
    Self.quantiles(divergences, Self.divergenceRanks)
  }
  public var gainQuantiles: [(name: String, value: Double)] {
    Self.quantiles(gains, Self.gainRanks)
  }

  /// Values at ranks of the sorted ones, on a line between two neighbours. O(n log n).
  static func quantiles(
    _ values: [Double], _ ranks: [(name: String, rank: Double)]
  ) -> [(name: String, value: Double)] {
    guard !values.isEmpty else { return [] }
    let sorted = values.sorted()
    return ranks.map { name, rank in
      let place = rank * Double(sorted.count - 1)
      let low = Int(place)
      let high = min(low + 1, sorted.count - 1)
      let part = place - Double(low)
      // An infinite neighbour that has no part in it is no reason for NaN.
      let value = part == 0 ? sorted[low] : (1 - part) * sorted[low] + part * sorted[high]
      return (name, value)
    }
  }
}
