import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Statistics of f32")
struct FloatStatisticsTests {
  @Test("every count and every kind of value", arguments: Processor.levels.map(\.name))
  func counts(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x60)
    for count in sizes + [5000] {
      let kinds: [[Float]] = [
        difficultFloats(count, from: &random),
        (0..<count).map { _ in Float.random(in: -1...1, using: &random) },
        (0..<count).map { _ in [Float.nan, -0.0].randomElement(using: &random) ?? 0 },
      ]
      for values in kinds {
        let found = FloatStatistics(values.rawSpan, on: level)
        let expected = Reference.statistics(values)
        #expect(found == expected, "\(count), \(random)")
        #expect(found.minimum.bitPattern == expected.minimum.bitPattern)
        #expect(found.maximum.bitPattern == expected.maximum.bitPattern)
        #expect(found.sum.bitPattern == expected.sum.bitPattern)
      }
    }
  }

  @Test("the order of summation is the stated one")
  func order() {
    // 2^53 and eight ones: only in one lane is a one lost.
    let values: [Float] = [0x1p53, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    for level in Processor.levels {
      #expect(FloatStatistics(values.rawSpan, on: level).sum == 0x1p53 + 6)
    }
    #expect(Reference.statistics(values).sum == 0x1p53 + 6)
  }

  @Test("parts merge into the whole")
  func merging() {
    let values: [Float] = [3, -.infinity, .nan, 0, -0.0, 5, 1, 2]
    var merged = FloatStatistics()
    for part in [values[..<3], values[3..<3], values[3...]] {
      merged.merge(FloatStatistics(Array(part).rawSpan))
    }
    #expect(merged.count == 8)
    #expect((merged.nanCount, merged.infiniteCount, merged.zeroCount) == (1, 1, 2))
    #expect((merged.minimum, merged.maximum) == (-.infinity, 5))
    #expect((merged.sum, merged.sumOfSquares) == (11, 39))
    #expect(FloatStatistics([Float]().rawSpan) == FloatStatistics())
  }

  @Test("many values part by part, whatever the number of threads")
  func parts() {
    var random = SplitMix64(seed: 3)
    var values = random.floats(3 << 16 + 5)
    (values[70_000], values[190_000]) = (.nan, .infinity)
    let found = [1, 2, 5].map { FloatStatistics(inParts: values.rawSpan, threads: $0) }
    #expect(found[0] == found[1] && found[0] == found[2])
    let whole = FloatStatistics(values.rawSpan)
    #expect(found[0].count == whole.count && found[0].finiteCount == whole.count - 2)
    #expect((found[0].sum - whole.sum).magnitude < 1e-9)
    #expect(FloatStatistics(inParts: [Float]().rawSpan) == FloatStatistics())
  }
}
