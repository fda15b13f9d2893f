import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

@Suite("Quantiles and tables made of them")
struct QuantilesTests {
  /// As the peer's tests ask: uniform data, each quantile within 1e-3 and 1 %.
  @Test("uniform data, both methods", arguments: Quantiles.Method.allCases)
  func uniform(method: Quantiles.Method) throws {
    var random = SplitMix64(seed: 0x61)
    let values = (0..<64 * 4096 + 100).map { _ in Float.random(in: 0..<1, using: &random) }
    let found = try Quantiles.estimate(values.rawSpan, by: method)
    #expect(found.count == 256 && zip(found, found.dropFirst()).allSatisfy(<=))
    for (index, value) in found.enumerated() {
      let expected = 1.0 / 512 + Double(index) * (1 - 1.0 / 256) / 255
      // Five standard errors of a quantile of so many values, and the peer's bound.
      let error = 5 * (expected * (1 - expected) / Double(values.count)).squareRoot() + 3e-4
      #expect(abs(Double(value) - expected) <= max(error, 1e-3 + 1e-2 * expected))
    }
  }

  @Test("exact quantiles are the values at their ranks, between them interpolated")
  func exact() throws {
    let values = (0..<1001).map { Float(($0 * 37) % 1001) }
    let found = try Quantiles.estimate(values.rawSpan, by: .exact)
    #expect(found.first == 2 && found.last == 998)
    let between = try Quantiles.interpolated(values.rawSpan, at: [0, 0.0005, 0.5, 0.99975, 1])
    #expect(zip(between, [0, 0.5, 500, 999.75, 1000]).allSatisfy { abs($0 - $1) < 1e-9 })
    let same = try Quantiles.interpolated(values.rawSpan, at: [0.25, 0.25, 0.2501])
    #expect(same[0] == same[1] && same[1] < same[2])
    #expect(throws: Failure.self) { try Quantiles.interpolated(values.rawSpan, at: [0.5, 0.4]) }
    #expect(throws: Failure.self) {
      try Quantiles.estimate([Float](repeating: 0, count: 255).rawSpan)
    }
    #expect(throws: Failure.self) {
      try Quantiles.estimate([Float](repeating: .nan, count: 256).rawSpan)
    }
  }

  @Test("a table of quantiles: 256 values, the largest 1, 0 among them", arguments: [2, 4, 8])
  func map(bits: Int) throws {
    var random = SplitMix64(seed: 0x62)
    let values = (0..<8192).map { _ in
      (0..<6).reduce(Float(0)) { sum, _ in sum + Float.random(in: -1...1, using: &random) }
    }
    let table = try Quantiles.map(of: values.rawSpan, bits: bits)
    #expect(table.count == 256 && table.contains(0) && table == table.sorted())
    #expect(table.contains { $0.magnitude == 1 } && table.allSatisfy { $0.magnitude <= 1 })
    #expect(Set(table).count == 1 << bits)
    #expect(throws: Failure.self) {
      try Quantiles.map(of: [Float](repeating: 0, count: 4096).rawSpan)
    }
  }
}
