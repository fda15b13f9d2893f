import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Two codes a byte, the first in the high half")
struct NibblesTests {
  @Test("packed and unpacked at every length", arguments: Processor.levels.map(\.name))
  func codes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x61)
    for count in sizes + [1001] {
      for fill in Fill.allCases {
        let codes = fill.bytes(count, from: &random)
        let bytes = Reference.packNibbles(codes)
        let packed = fenced(codes, count: bytes.count) { codes, bytes in
          Nibbles.pack(codes, into: &bytes, on: level)
        }
        #expect(packed == bytes, "\(count) codes, \(fill), \(random)")
        let source = fill.bytes(bytes.count, from: &random)
        let unpacked = fenced(source, count: count) { bytes, codes in
          Nibbles.unpack(bytes, into: &codes, on: level)
        }
        let expected = Reference.unpackNibbles(source, count: count)
        #expect(unpacked == expected, "\(count) codes, \(fill), \(random)")
      }
    }
  }

  @Test(
    "to numbers of each type, in whole and in cut groups", arguments: Processor.levels.map(\.name),
    [DType.f32, .f16, .bf16])
  func numbers(level: String, type: DType) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x62)
    for (group, skipped) in [(2, 0), (32, 0), (32, 30), (64, 32), (64, 0), (256, 100)] {
      for count in sizes + [1001] {
        for difficult in [false, true] {
          let groups = count == 0 ? 0 : (skipped + count + group - 1) / group
          let table = floats(16, difficult: difficult, from: &random)
          let scales = floats(groups, difficult: difficult, from: &random)
          let bytes = random.bytes((count + 1) / 2)
          let size = type.bits / 8
          let found = fenced(bytes, count: count * size) { bytes, values in
            Nibbles.dequantize(
              bytes, table: table.rawSpan, group: group, skipped: skipped, scales: scales.rawSpan,
              as: type, into: &values, on: level)
          }
          let codes = Reference.unpackNibbles(bytes, count: count)
          let products = codes.enumerated().map { index, code in
            table[Int(code)] * scales[(index + skipped) / group]
          }
          let expected = try rounded(products, to: type)
          #expect(
            mismatch(try widened(#require(found), from: type), expected, by: .sameBitsOrNaN) == nil,
            "\(count) of \(group), \(skipped) before")
        }
      }
    }
  }

  @Test("a factor for all", arguments: Processor.levels.map(\.name))
  func factor(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x63)
    for count in sizes {
      let values = difficultFloats(count, from: &random)
      for factor in [Float(1) / 127, 0, -3, .infinity] {
        let found = fencedFloats(values.rawSpan.array, count: count) { values, target in
          target.copy(from: values)
          Dequantize.multiply(&target, by: factor, on: level)
        }
        let expected = values.map { $0 * factor }
        #expect(mismatch(try #require(found), expected, by: .sameBitsOrNaN) == nil, "\(count)")
      }
    }
  }

  private func floats(
    _ count: Int, difficult: Bool, from random: inout SplitMix64
  ) -> [Float] {
    difficult
      ? difficultFloats(count, from: &random)
      : (0..<count).map { _ in Float.random(in: -2...2, using: &random) }
  }

  /// Rounded to the type by the slowest level, and back.
  private func rounded(_ values: [Float], to type: DType) throws -> [Float] {
    let bytes = fenced(values.rawSpan.array, count: values.count * type.bits / 8) { from, to in
      try? FloatConversion.fromFloat32(type, from, into: &to, on: Processor.levels[0])
    }
    return try widened(#require(bytes), from: type)
  }

  private func widened(_ bytes: [UInt8], from type: DType) throws -> [Float] {
    let count = bytes.count / (type.bits / 8)
    let wide = fenced(bytes, count: count * 4) { from, to in
      try? FloatConversion.toFloat32(type, from, into: &to, on: Processor.levels[0])
    }
    return TestKit.floats(of: try #require(wide))
  }
}
