/// A rotary embedding: by which angle pair i of a head is turned at position p, p times a frequency.
public struct RopePlan: Sendable, Equatable {
  public enum Scaling: Sendable, Equatable {
    case none
    /// All frequencies divided.
    case linear(factor: Double)
    /// A base that grows with the length beyond the positions the model was made for.
    case dynamic(factor: Double, positions: Int)
    case llama3(Llama3)
    case yarn(Yarn)
    case longrope(LongRope)
  }

  /// Long wavelengths are divided, short ones kept, and those between blended.
  public struct Llama3: Sendable, Equatable {
    var factor: Double
    var lowFrequencyFactor: Double
    var highFrequencyFactor: Double
    var originalPositions: Double
  }

  public struct Yarn: Sendable, Equatable {
    var factor: Double
    var attentionFactor: Double
    var originalPositions: Double
    var fastRotations: Double
    var slowRotations: Double
    var truncates: Bool
  }

  /// A factor for each frequency, of two lists by the length of the text.
  public struct LongRope: Sendable, Equatable {
    var shortFactors: [Double]
    var longFactors: [Double]
    var originalPositions: Int
    var attentionFactor: Double
  }

  public let base: Double
  /// Numbers of each head that are turned, an even count; the rest stay.
  public let width: Int
  public let scaling: Scaling

  public var pairs: Int { width / 2 }
  var isDynamic: Bool { if case .dynamic = scaling { true } else { false } }

  /// What cosines and sines are multiplied by.
  var amplitude: Float {
    switch scaling {
    case .yarn(let yarn): Float(yarn.attentionFactor)
    case .longrope(let rope): Float(rope.attentionFactor)
    default: 1
    }
  }

  /// The frequency of each pair for a text of `length` tokens, in f32 step by step as the peer computes
  /// them.
  func frequencies(length: Int) -> [Float] {
    switch scaling {
    case .none: return plain(base)
    case .linear(let factor): return plain(base).map { $0 / Float(factor) }
    case .dynamic(let factor, let positions):
      let stretch = factor * Double(max(length, positions)) / Double(positions) - (factor - 1)
      return plain(base * power(stretch, Double(width) / Double(width - 2)))
    case .llama3(let llama3): return plain(base).map(llama3.scaled)
    case .yarn(let yarn): return yarn.frequencies(self)
    case .longrope(let rope):
      let factors = length > rope.originalPositions ? rope.longFactors : rope.shortFactors
      return zip(powers(base), factors).map { 1 / (Float($1) * $0) }
    }
  }

  private func plain(_ base: Double) -> [Float] { powers(base).map { 1 / $0 } }

  /// base^(2i / width).
  func powers(_ base: Double) -> [Float] {
    (0..<pairs).map { Float(power(base, Double(Float(2 * $0) / Float(width)))) }
  }

  /// Cosines and sines of `positions`, `[positions][pairs]` each, for a text of `length` tokens.
  func table(_ positions: Range<Int>, length: Int) -> (cosines: [Float], sines: [Float]) {
    let frequencies = frequencies(length: length)
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(positions.count * pairs)
    sines.reserveCapacity(positions.count * pairs)
    for position in positions {
      for frequency in frequencies {
        let angle = Double(Float(position) * frequency)
        cosines.append(Float(cosine(angle)) * amplitude)
        sines.append(Float(sine(angle)) * amplitude)
      }
    }
    return (cosines, sines)
  }
}

extension RopePlan.Llama3 {
  func scaled(_ frequency: Float) -> Float {
    let wavelength = 2 * Float.pi / frequency
    if wavelength < Float(originalPositions / highFrequencyFactor) { return frequency }
    if wavelength > Float(originalPositions / lowFrequencyFactor) {
      return frequency / Float(factor)
    }
    let low = Float(lowFrequencyFactor)
    let share = (Float(originalPositions) / wavelength - low) / (Float(highFrequencyFactor) - low)
    return (1 - share) * frequency / Float(factor) + share * frequency
  }
}

extension RopePlan.Yarn {
  func frequencies(_ rope: RopePlan) -> [Float] {
    let last = Double(rope.width - 1)
    var low = pair(turning: fastRotations, rope)
    var high = pair(turning: slowRotations, rope)
    if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
    (low, high) = (max(low, 0), min(high, last))
    if low == high { high += 0.001 }
    return rope.powers(rope.base).enumerated().map { index, power in
      let ramp = min(max((Float(index) - Float(low)) / Float(high - low), 0), 1)
      let kept = 1 - ramp
      return 1 / (Float(factor) * power) * (1 - kept) + 1 / power * kept
    }
  }

  /// The pair, not rounded, that turns so often over the original positions.
  private func pair(turning rotations: Double, _ rope: RopePlan) -> Double {
    Double(rope.width) * logarithm(originalPositions / (rotations * 2 * .pi))
      / (2 * logarithm(rope.base))
  }
}
