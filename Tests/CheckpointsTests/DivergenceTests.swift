import TestKit
import Testing

@testable import Checkpoints

/// Perplexity and divergence against NumPy, by the formulas of llama.cpp's `perplexity`.
@Suite struct DivergenceTests {
  static let rows = 40
  static let vocabulary = 23
  static let targets = (0..<rows).map { UInt32($0 * 7 % vocabulary) }

  static let own = logits { row, id in Float((row * 31 + id * 17 + row * id) % 23) / 4 - 2 }
  static let base = logits { row, id in
    Float((row * 31 + id * 17 + row * id) % 23) / 4 - 2 + Float((row * 13 + id * 29) % 19) / 16
  }

  private static func logits(_ value: (Int, Int) -> Float) -> LogitBlock {
    LogitBlock(
      (0..<rows).flatMap { row in (0..<vocabulary).map { value(row, $0) } },
      vocabularySize: vocabulary)
  }

  private static func scores(threads: Int = 2) -> [TokenScore] {
    TokenScore.scores(own, base: base, targets: targets, threads: threads)
  }

  private func close(_ value: Double, _ expected: Double) -> Bool {
    (value - expected).magnitude <= 1e-9 * max(expected.magnitude, 1)
  }

  @Test func perplexity() {
    var estimate = PerplexityEstimate()
    for score in Self.scores() { estimate.add(score.loss) }
    #expect(estimate.tokens == Self.rows)
    #expect(close(estimate.perplexity, 77.92549820193294))
    #expect(close(estimate.error, 21.1386638790459))
  }

  @Test func statistics() throws {
    var divergence = Divergence()
    for score in Self.scores() { divergence.add(score.loss, try #require(score.base)) }
    #expect(close(divergence.basePerplexity, 87.35418501003024))
    #expect(close(try #require(divergence.correlation), 0.9813163923444306))
    let expected: [(Divergence.Estimate, Double, Double)] = [
      (divergence.logRatio, -0.11421772726658563, 0.05370297887209205),
      (divergence.ratio, 0.8920637081438667, 0.047906478471010164),
      (divergence.difference, -9.428686808097297, 5.441347012351295),
      (divergence.meanDivergence, 0.05326551039427274, 0.0021652169365578913),
      (divergence.meanGain, 0.0038453719180839446, 0.003160662093129857),
      (divergence.rootMeanSquareGain, 0.020109413094353625, 0.004528292277466388),
      (divergence.sameTop, 0.625, 0.07752170911825529),
    ]
    for (estimate, value, error) in expected {
      #expect(close(estimate.value, value), "\(estimate.value), \(value)")
      #expect(close(estimate.error, error), "\(estimate.error), \(error)")
    }
  }

  @Test func quantiles() throws {
    var divergence = Divergence()
    for score in Self.scores() { divergence.add(score.loss, try #require(score.base)) }
    let expected = [
      0.09648842229381183, 0.09568364351371583, 0.08844063449285226, 0.07572981808876612,
      0.06921262223963033, 0.05165579404217682, 0.04071018630446674, 0.030586024068575173,
      0.026793008119475797, 0.025753830029539616, 0.025638365797324404,
    ]
    let found = divergence.divergenceQuantiles
    #expect(found.map(\.name) == Divergence.divergenceRanks.map(\.name))
    #expect(zip(found, expected).allSatisfy { close($0.value, $1) })
    let gains = divergence.gainQuantiles
    #expect(close(gains[0].value, 0.0762033495302917))
    #expect(close(gains[5].value, 0.004744694712368809))
    #expect(close(gains[11].value, -0.06147259821356411))
  }

  @Test func threadsChangeNothing() {
    #expect(Self.scores(threads: 1) == Self.scores(threads: 3))
  }

  @Test func equalModelsDoNotDiffer() throws {
    let scores = TokenScore.scores(Self.own, base: Self.own, targets: Self.targets, threads: 1)
    var divergence = Divergence()
    for score in scores { divergence.add(score.loss, try #require(score.base)) }
    #expect(divergence.meanDivergence.value == 0)
    #expect(divergence.sameTop.value == 1)
    #expect(divergence.ratio.value == 1)
  }

  @Test func brokenLogits() throws {
    let rows = LogitBlock([0, .nan, 1, -.infinity, 0, 1], vocabularySize: 3)
    let scores = TokenScore.scores(rows, base: nil, targets: [0, 0], threads: 1)
    #expect(scores[0].loss.isNaN)
    #expect(scores[1].loss == .infinity)
  }
}
