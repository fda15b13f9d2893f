internal import Codecs

/// Numbers one after another, and how well their mean is known.
struct Moments: Sendable {
  private(set) var count = 0
  private var sum = 0.0
  private var squares = 0.0

  mutating func add(_ value: Double) {
    count += 1
    sum += value
    squares += value * value
  }

  mutating func add(_ other: Moments) {
    count += other.count
    sum += other.sum
    squares += other.squares
  }

  var mean: Double { count > 0 ? sum / Double(count) : 0 }

  /// The standard error of the mean of independent values; infinite for fewer than two.
  var standardError: Double {
    guard count > 1 else { return .infinity }
    let variance = max(0, squares - sum * mean) / Double(count - 1)
    return (variance / Double(count)).squareRoot()
  }
}

/// The mean of a quantity that is 0 where zero points are read right and 1 off where they are not,
/// with an error that allows for what neighbours share.
///
/// Weights of one output, of one input or of one layer are not independent, so the error is that of
/// the means of strips of inputs, of rows or of layers (from eight on), whichever is the largest.
struct ShiftTest: Sendable {
  private var strips = Moments()
  private var rows = Moments()
  private var layers = Moments()

  /// Takes in one layer: the mean of each strip and of each row.
  mutating func add(strips stripMeans: [Double], rows rowMeans: [Double]) {
    guard !stripMeans.isEmpty, !rowMeans.isEmpty else { return }
    var part = Moments()
    for mean in stripMeans { part.add(mean) }
    for mean in rowMeans { rows.add(mean) }
    strips.add(part)
    layers.add(part.mean)
  }

  var mean: Double { strips.mean }

  /// nil where there is too little to know it.
  var standardError: Double? {
    guard strips.count >= 8, rows.count >= 32 else { return nil }
    let error = max(strips.standardError, rows.standardError)
    return layers.count >= 8 ? max(error, layers.standardError) : error
  }
}

/// The two readings of the same fields, tested (GPTQ-13).
struct VersionTest: Sendable {
  /// A wrong reading is this many standard errors from 0.
  static let threshold = 5.0
  /// The right one is at most this far from 0, the wrong one at least twice as far.
  static let near = 0.25

  var readings: [GPTQ.Version: ShiftTest] = [.v1: ShiftTest(), .v2: ShiftTest()]

  func mean(as version: GPTQ.Version) -> Double { readings[version]?.mean ?? 0 }

  /// How many standard errors the reading is from 0; nil where there is too little to know.
  func distance(as version: GPTQ.Version) -> Double? {
    guard let error = readings[version]?.standardError else { return nil }
    return mean(as: version).magnitude / max(error, 1e-9)
  }

  /// The version that fits, if the other clearly does not.
  var decision: GPTQ.Version? {
    GPTQ.Version.allCases.first { version in
      guard let distance = distance(as: version.other) else { return false }
      return mean(as: version).magnitude <= Self.near && distance >= Self.threshold
        && mean(as: version.other).magnitude >= 2 * Self.near
    }
  }
}
