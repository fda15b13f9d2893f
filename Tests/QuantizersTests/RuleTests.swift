import Quantizers
import TensorCore
import TestKit
import Testing

/// CUDA's rules, from what its kernels do step by step.
@Suite struct RuleTests {
  /// The tree of `dQuantizeNF4` and `dQuantizeFP4`, as comparisons in a row.
  private func code(_ kind: FourBit.Kind, _ x: Float) -> UInt8 {
    switch kind {
    case .nf4:
      let middles = zip(CodeTables.nf4, CodeTables.nf4.dropFirst()).map { ($0 + $1) / 2 }
      return UInt8(middles.count { x > $0 })
    case .fp4:
      let magnitude = x.magnitude
      let steps: [(Float, UInt8)] = [
        (0.8333333, 3), (0.583333, 2), (0.4166667, 5), (0.29166667, 4), (0.20833333, 7),
        (0.0859375, 6), (0.00260417, 1),
      ]
      return (steps.first { magnitude > $0.0 }?.1 ?? 0) | (x < 0 ? 8 : 0)
    }
  }

  @Test(arguments: FourBit.Kind.allCases)
  func fourBits(kind: FourBit.Kind) throws {
    let quantizer = try FourBit(kind)
    let limits = (-8000...8000).map { Float($0) / 8000 }
    let decimals: [Float] = [
      0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333,
    ]
    let table = kind.table.sorted()
    let middles = zip(table, table.dropFirst()).map { ($0 + $1) / 2 }
    let numbers =
      (decimals + decimals.map { -$0 } + middles + [0, -0.0])
      .flatMap { [$0, $0.nextUp, $0.nextDown] } + limits
    for value in numbers {
      let block = [1, value] + [Float](repeating: 0, count: 62)
      let absmax = filled(4) { _ = quantizer.absmax(block.rawSpan, into: &$0) }
      let packed = filled(32) {
        quantizer.quantize(block.rawSpan, absmax: absmax.rawSpan, into: &$0)
      }
      #expect(packed[0] == code(kind, 1) << 4 | code(kind, value), "\(value)")
    }
  }

  /// The binary search of `dQuantize`.
  private func search(_ table: [Float], _ x: Float) -> UInt8 {
    var (pivot, upper, lower) = (127, 255, 0)
    for step in [64, 32, 16, 8, 4, 2, 1] {
      if x > table[pivot] {
        lower = pivot
        pivot += step
      } else {
        upper = pivot
        pivot -= step
      }
    }
    if x > table[pivot] {
      return UInt8(x > (table[upper] + table[pivot]) * 0.5 ? upper : pivot)
    }
    return UInt8(x < (table[lower] + table[pivot]) * 0.5 ? lower : pivot)
  }

  @Test(
    arguments: CodeTableTests.tables.filter {
      $0.table.count == 256 && $0.table == $0.table.sorted()
    }
    .map(\.name))
  func eightBits(name: String) throws {
    let table = try #require(CodeTableTests.tables.first { $0.name == name }).table
    let quantizer = try EightBit(table: table, blockSize: 4096)
    let middles = zip(table, table.dropFirst()).map { ($0 + $1) * 0.5 }
    let around: [Float] = (table + middles).flatMap { [$0, $0.nextUp, $0.nextDown] }
    let held: [Float] = ([1] + around).filter { $0.magnitude <= 1 }
    let absmax = filled(4) { _ = quantizer.absmax(held.rawSpan, into: &$0) }
    let codes = filled(held.count) {
      quantizer.quantize(held.rawSpan, absmax: absmax.rawSpan, into: &$0)
    }
    #expect(mismatch(codes, held.map { search(table, $0) }) == nil)
  }

  @Test func blocksOfZeros() throws {
    let zeros = [Float](repeating: 0, count: 128)
    for (kind, rules, byte) in [
      (FourBit.Kind.nf4, PeerRules.cuda, 0x00), (.nf4, .cpu, 0x77), (.fp4, .cuda, 0),
      (.fp4, .cpu, 0),
    ] as [(FourBit.Kind, PeerRules, UInt8)] {
      let quantizer = try FourBit(kind, rules: rules)
      let absmax = filled(8) { #expect(quantizer.absmax(zeros.rawSpan, into: &$0) == 0) }
      let packed = filled(64) {
        quantizer.quantize(zeros.rawSpan, absmax: absmax.rawSpan, into: &$0)
      }
      #expect(packed == [UInt8](repeating: byte, count: 64), "\(kind) \(rules)")
      #expect(absmax == [UInt8](repeating: 0, count: 8))
    }
    for rules in PeerRules.allCases {
      let quantizer = try EightBit(blockSize: 64, rules: rules)
      let absmax = filled(8) { _ = quantizer.absmax(zeros.rawSpan, into: &$0) }
      let codes = filled(128) {
        quantizer.quantize(zeros.rawSpan, absmax: absmax.rawSpan, into: &$0)
      }
      #expect(codes == [UInt8](repeating: 0, count: 128), "\(rules)")
    }
  }

  @Test func eightBitsComeBackWithinHalfAStep() throws {
    var random = SplitMix64(seed: 0x81)
    let values = normals(5000, from: &random)
    let quantizer = try EightBit(blockSize: 256)
    let absmax = filled(20 * 4) { _ = quantizer.absmax(values.rawSpan, into: &$0) }
    let codes = filled(5000) {
      quantizer.quantize(values.rawSpan, absmax: absmax.rawSpan, into: &$0)
    }
    let read = floats(
      of: filled(5000 * 4) {
        quantizer.dequantize(codes.rawSpan, absmax: absmax.rawSpan, into: &$0)
      })
    let most = floats(of: absmax)
    for (index, value) in values.enumerated() {
      let nearest = quantizer.table.map { ($0 * most[index / 256] - value).magnitude }.min() ?? 0
      #expect((read[index] - value).magnitude <= nearest * 1.000001 + 1e-9)
    }
  }

  @Test func wrongSizesAreRefused() {
    #expect(throws: Failure.self) { try FourBit(.nf4, blockSize: 48) }
    #expect(throws: Failure.self) { try EightBit(table: [0, 1]) }
    #expect(throws: Failure.self) { try EightBit(table: CodeTables.dynamic().reversed()) }
    #expect(throws: Failure.self) { try EightBit(blockSize: 0) }
  }
}
