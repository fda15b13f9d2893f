import Testing

@testable import Models

/// Frequencies of rotary embeddings; whole models with each scaling are among the fixtures.
@Suite struct RopeTests {
  @Test func plainFrequenciesArePowersOfTheBase() {
    let rope = RopePlan(base: 10_000, width: 4, scaling: .none)
    #expect(rope.frequencies(length: 1) == [1, 0.01])
  }

  @Test func tablesTurnByPositionTimesFrequency() {
    let rope = RopePlan(base: 10_000, width: 2, scaling: .linear(factor: 2))
    let table = rope.table(1..<3, length: 3)
    #expect(table.cosines == [Float(cosine(0.5)), Float(cosine(1))])
    #expect(table.sines == [Float(sine(0.5)), Float(sine(1))])
  }

  @Test func dynamicBasesGrowBeyondThePositions() {
    let rope = RopePlan(base: 10_000, width: 8, scaling: .dynamic(factor: 2, positions: 16))
    #expect(rope.frequencies(length: 4) == rope.frequencies(length: 16))
    #expect(rope.frequencies(length: 17)[3] < rope.frequencies(length: 16)[3])
  }

  @Test func longTextsTakeTheLongFactors() {
    let factors = RopePlan.LongRope(
      shortFactors: [1], longFactors: [4], originalPositions: 16, attentionFactor: 1)
    let rope = RopePlan(base: 10_000, width: 2, scaling: .longrope(factors))
    #expect(rope.frequencies(length: 16) == [1])
    #expect(rope.frequencies(length: 17) == [0.25])
  }
}
