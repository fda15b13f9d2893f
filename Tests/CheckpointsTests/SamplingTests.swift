import Testing

@testable import Checkpoints

@Suite struct SamplingTests {
  private let logits: [Float] = [1, 3, 2, 3, -.infinity, 0]

  @Test func greedyTakesTheFirstOfEquals() throws {
    var sampler = Sampler(.greedy)
    #expect(try sampler.next(logits) == 1)
    var one = Sampler(Sampling(temperature: 1, topK: 1))
    #expect(try one.next(logits) == 1)
  }

  /// The generator's first numbers from seed 1234567, as its authors' code gives them.
  @Test func generator() {
    var generator = SplitMix(seed: 1_234_567)
    let expected: [UInt64] = [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
    ]
    #expect((0..<3).map { _ in generator.next() } == expected)
  }

  private func shares(_ sampling: Sampling) throws -> [Double] {
    var sampler = Sampler(sampling)
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<4000 { counts[try sampler.next(logits)] += 1 }
    return counts.map { Double($0) / 4000 }
  }

  /// Shares near the softmax of the logits; none of what top-k and top-p leave out.
  @Test func drawsBySoftmax() throws {
    let all = try shares(Sampling(temperature: 1, seed: 1))
    let weights = logits.map { exponential(Double($0)) }
    let total = weights.reduce(0, +)
    for (share, weight) in zip(all, weights) { #expect((share - weight / total).magnitude < 0.03) }
    let cold = try shares(Sampling(temperature: 0.25, seed: 1))
    #expect(cold[1] + cold[3] > 0.95)
    let three = try shares(Sampling(temperature: 2, topK: 3, seed: 1))
    #expect(three[0] == 0 && three[5] == 0 && three[2] > 0)
    // 1 and 3 have 0.70 together.
    let two = try shares(Sampling(temperature: 1, topP: 0.6, seed: 1))
    #expect(two[1] + two[3] == 1 && two[3] > 0)
    let one = try shares(Sampling(temperature: 1, topP: 0.2, seed: 1))
    #expect(one[1] == 1)
  }

  @Test func sameSeedSameTokens() throws {
    func drawn(_ seed: UInt64) throws -> [Int] {
      var sampler = Sampler(Sampling(temperature: 1, seed: seed))
      return try (0..<50).map { _ in try sampler.next(logits) }
    }
    #expect(try drawn(7) == drawn(7))
    #expect(try drawn(7) != drawn(8))
  }

  @Test func refused() {
    for sampling in [
      Sampling(temperature: -1), Sampling(temperature: .nan), Sampling(topK: 0),
      Sampling(topP: 0), Sampling(topP: 1.5),
    ] {
      #expect(throws: Failure.self) { try sampling.check() }
    }
    var sampler = Sampler(.greedy)
    #expect(throws: Failure.self) { try sampler.next([.nan, -.infinity]) }
  }
}
