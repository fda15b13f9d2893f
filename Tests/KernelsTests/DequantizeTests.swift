import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Codes to numbers")
struct DequantizeTests {
  /// Float parameters for `count` groups: plain ones, or any.
  private func parameters(
    _ count: Int, difficult: Bool, from random: inout SplitMix64
  ) -> [Float] {
    difficult
      ? difficultFloats(count, from: &random)
      : (0..<count).map { _ in Float.random(in: -20...20, using: &random) }
  }

  /// BF16 numbers as float32.
  private func brains(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 2).map {
      Float(bitPattern: UInt32(bytes[$0]) << 16 | UInt32(bytes[$0 + 1]) << 24)
    }
  }

  /// Rounded to BF16, ties to even.
  private func rounded(_ value: Float) -> Float {
    let bits = value.bitPattern
    let bias = 0x7FFF + (bits >> 16 & 1)
    return value.isNaN ? value : Float(bitPattern: (bits &+ bias) & 0xFFFF_0000)
  }

  @Test("results that are subnormal, or nearly, are rounded to BF16 like all others")
  func subnormals() throws {
    let codes = (0..<96).map { UInt8($0 & 15) }
    let parameters: [(scale: Float, zero: Float)] = [
      (0x1p-126, 8), (0x1.8p-130, 7), (0x1p-149, 3), (0x1p-60, 8.000001), (0x1p-61, 8),
      (0x1p-100, 0x1p-20), (1, 0x1p-140), (0x1p-62, -0x1.fp-59), (-0x1p-60, 0x1.ffffp-57),
      (0x1p-20, 0x1.fffffep-1), (0x1p60, 0), (0x1p127, 8), (-0x1p-60, 0x1p-20),
    ]
    for level in Processor.levels {
      for (scale, zero) in parameters {
        for group in [16, 96] {
          let groups = 96 / group
          let scales = [Float](repeating: scale, count: groups)
          let zeros = [Float](repeating: zero, count: groups)
          let run = fenced(codes, count: 192) { codes, halves in
            Dequantize.affineRunBF16(
              codes, group: group, scales: scales.rawSpan, zeros: zeros.rawSpan, into: &halves,
              on: level)
          }
          let added = fenced(codes, count: 192) { codes, halves in
            Dequantize.addedRunBF16(
              codes, group: group, scales: scales.rawSpan, added: zeros.rawSpan, into: &halves,
              on: level)
          }
          let exact = Reference.affineRun(codes, group: group, scales: scales, zeros: zeros)
          let sums = Reference.addedRun(codes, group: group, scales: scales, added: zeros)
          let place = Comment(rawValue: "\(level), \(scale), \(zero)")
          #expect(
            mismatch(brains(try #require(run)), exact.map(rounded), by: .sameBits) == nil, place)
          #expect(
            mismatch(brains(try #require(added)), sums.map(rounded), by: .sameBits) == nil, place)
        }
      }
    }
  }

  @Test("every code, scales of 16 bits and ties to even", arguments: Processor.levels.map(\.name))
  func exactProducts(level: String) throws {
    let level = try Processor.level(named: level)
    let codes = (0..<1024).map { UInt8(truncatingIfNeeded: $0) }
    for step in 0..<20 {
      // 11 bits of F16, 14 and 15 bits, and a negative one.
      let odd = UInt32(step * 37 % 1024)
      let patterns = [odd << 13, odd << 10, odd << 9 | 1 << 9, odd << 13 | 1 << 31]
      for zero in [0, 1, 128, 255, 256, 257, 7.5] as [Float] {
        let scales = patterns.map { Float(bitPattern: 0x3C00_0000 ^ $0) }
        let zeros = [Float](repeating: zero, count: scales.count)
        let found = fenced(codes, count: codes.count * 2) { codes, halves in
          Dequantize.affineRunBF16(
            codes, group: 256, scales: scales.rawSpan, zeros: zeros.rawSpan, into: &halves,
            on: level)
        }
        let exact = Reference.affineRun(codes, group: 256, scales: scales, zeros: zeros)
        #expect(
          mismatch(brains(try #require(found)), exact.map(rounded), by: .sameBits) == nil,
          "\(scales), \(zero)")
      }
    }
  }

  @Test("a scale and a zero for each column", arguments: Processor.levels.map(\.name))
  func affineRows(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x56)
    for columns in sizes {
      for (rows, difficult) in [(0, false), (1, true), (3, false), (5, true)] {
        let codes = random.bytes(rows * columns)
        let scales = parameters(columns, difficult: difficult, from: &random)
        let zeros = parameters(columns, difficult: difficult, from: &random)
        let values = fencedFloats(codes, count: codes.count) { codes, values in
          Dequantize.affineRows(
            codes, scales: scales.rawSpan, zeros: zeros.rawSpan, into: &values, on: level)
        }
        let expected = Reference.affineRows(codes, scales: scales, zeros: zeros)
        #expect(
          mismatch(try #require(values), expected, by: .sameBitsOrNaN) == nil,
          "[\(rows)][\(columns)], \(random)")
      }
    }
  }

  @Test(
    "a scale and a zero, a term or a table for each run", arguments: Processor.levels.map(\.name),
    [1, 5, 8, 16, 32, 33, 128, .max])
  func runs(level: String, group: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x57)
    for count in sizes {
      for difficult in [false, true] {
        let groups = count / group + (count % group == 0 ? 0 : 1)
        let codes = random.bytes(count)
        let scales = parameters(groups, difficult: difficult, from: &random)
        let offsets = parameters(groups, difficult: difficult, from: &random)
        let affine = fencedFloats(codes, count: count) { codes, values in
          Dequantize.affineRun(
            codes, group: group, scales: scales.rawSpan, zeros: offsets.rawSpan,
            into: &values, on: level)
        }
        let added = fencedFloats(codes, count: count) { codes, values in
          Dequantize.addedRun(
            codes, group: group, scales: scales.rawSpan, added: offsets.rawSpan,
            into: &values, on: level)
        }
        let expected = Reference.affineRun(codes, group: group, scales: scales, zeros: offsets)
        #expect(mismatch(try #require(affine), expected, by: .sameBitsOrNaN) == nil, "\(count)")
        let sums = Reference.addedRun(codes, group: group, scales: scales, added: offsets)
        #expect(mismatch(try #require(added), sums, by: .sameBitsOrNaN) == nil, "\(count)")
        for (isAdded, exact) in [(false, expected), (true, sums)] {
          let halves = fenced(codes, count: count * 2) { codes, halves in
            let (scales, offsets) = (scales.rawSpan, offsets.rawSpan)
            if isAdded {
              Dequantize.addedRunBF16(
                codes, group: group, scales: scales, added: offsets, into: &halves, on: level)
            } else {
              Dequantize.affineRunBF16(
                codes, group: group, scales: scales, zeros: offsets, into: &halves, on: level)
            }
          }
          let found = brains(try #require(halves))
          #expect(mismatch(found, exact.map(rounded), by: .sameBitsOrNaN) == nil, "\(count)")
        }
        let signed = fencedFloats(codes, count: count) { codes, values in
          Dequantize.signedRun(
            codes, group: group, scales: scales.rawSpan, factor: 0.0078740157, into: &values,
            on: level)
        }
        let products = Reference.signedRun(
          codes, group: group, scales: scales, factor: 0.0078740157)
        #expect(mismatch(try #require(signed), products, by: .sameBitsOrNaN) == nil, "\(count)")
        for entries in [16, 256] {
          let table = parameters(entries, difficult: difficult, from: &random)
          let values = fencedFloats(codes, count: count) { codes, values in
            Dequantize.tableRun(
              codes, table: table.rawSpan, group: group, scales: scales.rawSpan,
              into: &values, on: level)
          }
          let picked = Reference.tableRun(codes, table: table, group: group, scales: scales)
          #expect(mismatch(try #require(values), picked, by: .sameBitsOrNaN) == nil, "\(count)")
        }
      }
    }
  }

  @Test(
    "a table for each run", arguments: Processor.levels.map(\.name),
    [1, 5, 16, 31, 32, 40, 128, .max])
  func lookup(level: String, group: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x58)
    for count in sizes {
      let groups = count / group + (count % group == 0 ? 0 : 1)
      let codes = random.bytes(count)
      let bytes = random.bytes(groups * 32)
      let tables = stride(from: 0, to: bytes.count, by: 2).map {
        UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8
      }
      let found = fenced(codes, count: count * 2) { codes, halves in
        Dequantize.lookup(
          codes, tables: bytes.rawSpan, group: group, into: &halves, on: level)
      }
      let expected = Reference.lookup(codes, tables: tables, group: group)
        .flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
      #expect(mismatch(try #require(found), expected) == nil, "\(count)")
    }
  }

  @Test("s·q + m is rounded twice, never fused")
  func twoRoundings() throws {
    // Exactly, 255 · s is between two floats; fused, the sum would keep its lost end.
    let scale: Float = 1 + 0x1p-23
    let product = scale * 255
    for level in Processor.levels {
      let values = fencedFloats([UInt8](repeating: 255, count: 9), count: 9) { codes, values in
        Dequantize.addedRun(
          codes, group: 9, scales: [scale].rawSpan, added: [-product].rawSpan,
          into: &values, on: level)
      }
      #expect(values == [Float](repeating: 0, count: 9))
      #expect((-product).addingProduct(scale, 255) != 0)
    }
  }
}
