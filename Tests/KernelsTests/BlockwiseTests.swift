import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Blocks to codes")
struct BlockwiseTests {
  private static let blocks = [2, 34, 64, 4096]

  private func rule(floor: Float, from random: inout SplitMix64) -> NibbleRule {
    let thresholds = (0..<15).map { _ in Float.random(in: -1...1, using: &random) }.sorted()
    return NibbleRule(
      thresholds: thresholds, codes: (0..<16).shuffled(using: &random), nanCode: 5, floor: floor)
  }

  /// Plain numbers, numbers of all kinds, those on and around a threshold, zeros.
  private func fills(
    _ count: Int, thresholds: [Float], from random: inout SplitMix64
  ) -> [[Float]] {
    let plain = (0..<count).map { _ in Float.random(in: -3...3, using: &random) }
    let edges = (0..<count).map { index -> Float in
      let threshold = thresholds.randomElement(using: &random) ?? 0
      return index % 5 == 0 ? 1 : [threshold, threshold.nextUp, threshold.nextDown][index % 3]
    }
    let tiny = plain.map { $0 * 0x1p-130 }
    return [
      plain, edges, tiny, difficultFloats(count, from: &random),
      [Float](repeating: 0, count: count), [Float](repeating: -0.0, count: count),
    ]
  }

  private let counts = sizes + [513, 4100]

  @Test("the largest of each block", arguments: Processor.levels.map(\.name), blocks)
  func absmax(level: String, block: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x71)
    for count in counts {
      for values in fills(count, thresholds: [0.5], from: &random) {
        var wrong = 0
        let blocks = count.dividedRoundingUp(by: block)
        let found = fencedFloats(bytes(of: values), count: blocks) { values, absmax in
          wrong = Blockwise.absmax(values, block: block, into: &absmax, on: level)
        }
        let expected = Reference.blockAbsmax(values, block: block)
        #expect(mismatch(try #require(found), expected.absmax, by: .sameBits) == nil, "\(count)")
        #expect(wrong == expected.wrong, "\(count), \(random)")
      }
    }
  }

  @Test("four bits", arguments: Processor.levels.map(\.name), blocks)
  func nibbles(level: String, block: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x72)
    for count in counts {
      let rule = rule(floor: count % 2 == 0 ? 0 : 1e-38, from: &random)
      for values in fills(count, thresholds: rule.thresholds, from: &random) {
        let absmax = Reference.blockAbsmax(values, block: block).absmax
        let found = fenced(bytes(of: values), count: (count + 1) / 2) { values, packed in
          Blockwise.nibbles(
            values, absmax: absmax.rawSpan, block: block, by: rule, into: &packed, on: level)
        }
        let expected = Reference.blockNibbles(values, absmax: absmax, block: block, by: rule)
        #expect(mismatch(try #require(found), expected) == nil, "\(count), \(random)")
      }
    }
  }

  /// Every pattern of two bytes is some number: blocks of all kinds, and of all finite kinds.
  @Test(
    "float16 and bfloat16 become what their float32 does", arguments: Processor.levels.map(\.name),
    blocks)
  func halves(level: String, block: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x76)
    for type in [DType.f16, .bf16] {
      let infinity: UInt16 = type == .f16 ? 0x7C00 : 0x7F80
      for count in counts {
        let rule = rule(floor: count % 2 == 0 ? 0 : 1e-38, from: &random)
        let wild = (0..<count).map { _ in UInt16.random(in: 0...UInt16.max, using: &random) }
        let finite = wild.map { $0 & 0x7FFF < infinity ? $0 : $0 & 0x8000 }
        // Plain blocks with one that is not finite.
        let spoilt = finite.enumerated().map { $0 == count / 2 ? infinity : $1 }
        let near = finite.map { $0 & 0x83FF | infinity / 2 & 0x7C00 }
        for halves in [wild, finite, spoilt, near, finite.map { $0 & 0x8000 }] {
          let source = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
          let format = type == .f16 ? FloatFormat.f16.value : { Float(bitPattern: $0 << 16) }
          let values = halves.map { format(UInt32($0)) }
          let expected = Reference.blockAbsmax(values, block: block)
          var wrong = 0
          let maxima = fencedFloats(source, count: expected.absmax.count) { halves, absmax in
            wrong = Blockwise.absmax(halves, type, block: block, into: &absmax, on: level)
          }
          #expect(mismatch(try #require(maxima), expected.absmax, by: .sameBits) == nil)
          #expect(wrong == expected.wrong, "\(type), \(count)")
          let packed = fenced(source, count: (count + 1) / 2) { halves, packed in
            Blockwise.nibbles(
              halves, type, absmax: expected.absmax.rawSpan, block: block, by: rule,
              into: &packed, on: level)
          }
          let codes = Reference.blockNibbles(
            values, absmax: expected.absmax, block: block, by: rule)
          #expect(mismatch(try #require(packed), codes) == nil, "\(type), \(count), \(random)")
        }
      }
    }
  }

  @Test("eight bits by thresholds", arguments: Processor.levels.map(\.name), blocks)
  func eightBits(level: String, block: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x73)
    let thresholds = (0..<255).map { _ in Float.random(in: -1...1, using: &random) }.sorted()
    for count in counts where count < 600 {
      for values in fills(count, thresholds: thresholds, from: &random) {
        let absmax = Reference.blockAbsmax(values, block: block).absmax
        let found = fenced(bytes(of: values), count: count) { values, codes in
          Blockwise.bytes(
            values, absmax: absmax.rawSpan, block: block, thresholds: thresholds, into: &codes,
            on: level)
        }
        let expected = Reference.blockBytes(
          values, absmax: absmax, block: block, thresholds: thresholds)
        #expect(mismatch(try #require(found), expected) == nil, "\(count), \(random)")
      }
    }
  }

  @Test("eight bits by lookup", arguments: Processor.levels.map(\.name), [32, 256])
  func lookup(level: String, block: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x74)
    let table = random.bytes(65536)
    for count in counts where count < 600 {
      for values in fills(count, thresholds: [0.5], from: &random) {
        let absmax = Reference.blockAbsmax(values, block: block).absmax
        let found = fenced(bytes(of: values), count: count) { values, codes in
          Blockwise.lookup(
            values, absmax: absmax.rawSpan, block: block, table: table, into: &codes, on: level)
        }
        let expected = Reference.blockLookup(values, absmax: absmax, block: block, table: table)
        #expect(mismatch(try #require(found), expected) == nil, "\(count), \(random)")
      }
    }
  }

  @Test("float16 to signed bytes, every pattern", arguments: Processor.levels.map(\.name))
  func signedBytes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x75)
    var rows = [Array(UInt16.min...UInt16.max)]
    for count in sizes {
      rows.append((0..<count).map { _ in UInt16.random(in: 0...0x7BFF, using: &random) })
    }
    for halves in rows {
      let source = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
      for factor in [1, 0.5, 127 / 65504, 300, 0, .infinity, .nan] as [Float] {
        let found = fenced(source, count: halves.count) { halves, codes in
          Blockwise.signedBytes(halves, factor: factor, into: &codes, on: level)
        }
        let expected = Reference.signedBytes(halves, factor: factor).map(UInt8.init(bitPattern:))
        #expect(mismatch(try #require(found), expected) == nil, "\(factor)")
      }
      let most = Blockwise.halfAbsmax(source.rawSpan, on: level)
      let values = halves.map { FloatFormat.f16.value(UInt32($0)) }
      #expect(most.isFinite == values.allSatisfy(\.isFinite))
      if most.isFinite { #expect(most.value == values.map(\.magnitude).max() ?? 0) }
    }
  }
}
