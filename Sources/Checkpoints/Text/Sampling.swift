/// How the next token is chosen from its logits.
public struct Sampling: Sendable, Equatable {
  /// What logits are divided by; 0: the most probable token, always.
  public var temperature: Double
  /// Only so many of the most probable tokens; nil: all.
  public var topK: Int?
  /// Only the most probable tokens whose probabilities reach this sum together; 1: all.
  public var topP: Double
  /// What the drawing begins with: the same seed draws the same tokens from the same logits.
  public var seed: UInt64

  public static let greedy = Sampling()

  public init(temperature: Double = 0, topK: Int? = nil, topP: Double = 1, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }

  /// Throws `usage` for what can't be drawn with.
  public func check() throws {
    guard temperature.isFinite, temperature >= 0 else {
      throw Failure(.usage, at: "temperature", "not from 0 on", found: "\(temperature)")
    }
    guard topP > 0, topP <= 1 else {
      throw Failure(.usage, at: "top-p", "not above 0 and up to 1", found: "\(topP)")
    }
    if let topK, topK < 1 {
      throw Failure(.usage, at: "top-k", "not from 1 on", found: "\(topK)")
    }
  }
}

/// Draws tokens, one after the other.
public struct Sampler: Sendable {
  public let sampling: Sampling
  private var generator: SplitMix

  public init(_ sampling: Sampling) {
    self.sampling = sampling
    generator = SplitMix(seed: sampling.seed)
  }

  /// The next token. Of equal logits the lower id counts as the more probable. O(n), with top-k or
  /// top-p O(n log n). Throws `internal` where no logit is a number.
  public mutating func next(_ logits: [Float]) throws -> Int {
    let best = try Self.best(logits)
    guard sampling.temperature > 0, sampling.topK != 1 else { return best }
    let candidates = candidates(logits)
    let weights = Self.weights(candidates.map { logits[$0] }, sampling.temperature)
    let kept = keptCount(weights)
    let total = weights[..<kept].reduce(0, +)
    var rest = generator.nextUnit() * total
    for index in 0..<kept {
      rest -= weights[index]
      if rest < 0 { return candidates[index] }
    }
    // Rounding may leave a rest behind the last one.
    return candidates[weights[..<kept].lastIndex { $0 > 0 } ?? 0]
  }

  /// The first of the greatest logits.
  public static func best(_ logits: [Float]) throws -> Int {
    var best: Int?
    for (id, logit) in logits.enumerated() where logit > (best.map { logits[$0] } ?? -.infinity) {
      best = id
    }
    guard let best else {
      throw Failure(.internal, at: "logits", "none of them is a finite number")
    }
    return best
  }

  /// Ids in falling order of their logits where that matters, at most `topK`.
  private func candidates(_ logits: [Float]) -> [Int] {
    guard sampling.topK != nil || sampling.topP < 1 else { return Array(logits.indices) }
    let order = logits.indices.sorted {
      logits[$0] == logits[$1] ? $0 < $1 : logits[$0] > logits[$1]
    }
    return Array(order.prefix(sampling.topK ?? order.count))
  }

  /// exp((x − max) / temperature) in f64.
  private static func weights(_ logits: [Float], _ temperature: Double) -> [Double] {
    let most = Double(logits.max() ?? 0)
    return logits.map { exponential((Double($0) - most) / temperature) }
  }

  /// How many of the falling weights reach top-p together.
  private func keptCount(_ weights: [Double]) -> Int {
    guard sampling.topP < 1 else { return weights.count }
    let wanted = weights.reduce(0, +) * sampling.topP
    var sum = 0.0
    for (index, weight) in weights.enumerated() {
      sum += weight
      if sum >= wanted { return index + 1 }
    }
    return weights.count
  }
}

/// SplitMix64: the same numbers from the same seed on every machine (Steele, Lea, Flood: Fast
/// splittable pseudorandom number generators, 2014).
struct SplitMix: Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// At least 0 and below 1, of 53 bits.
  mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
