/// A perplexity and how sure it is, from the losses of tokens.
public struct PerplexityEstimate: Sendable, Equatable {
  /// Tokens that were predicted.
  public private(set) var tokens = 0
  private var losses = SampleMoments()

  public init() {}

  public mutating func add(_ loss: Double) {
    tokens += 1
    losses.add(loss)
  }

  /// exp of the mean loss.
  public var perplexity: Double { exponential(losses.mean) }
  public var meanLoss: Double { losses.mean }
  /// One standard deviation of the mean loss, tokens taken as independent.
  public var lossError: Double { losses.error }
  /// One standard deviation of the perplexity, to first order.
  public var error: Double { perplexity * losses.error }
}

/// Sums of numbers and of their squares.
struct SampleMoments: Sendable, Equatable {
  private(set) var count = 0
  private(set) var sum = 0.0
  private(set) var squares = 0.0

  mutating func add(_ value: Double) {
    count += 1
    sum += value
    squares += value * value
  }

  var mean: Double { count > 0 ? sum / Double(count) : .nan }

  /// The standard deviation of the mean; 0 of fewer than two.
  var error: Double {
    guard count > 1 else { return 0 }
    let variance = squares / Double(count) - mean * mean
    return variance > 0 ? (variance / Double(count - 1)).squareRoot() : 0
  }
}
