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
    [1, 5, 8, 32, 33, 128, .max])
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
        let halves = fenced(codes, count: count * 2) { codes, halves in
          Dequantize.affineRunBF16(
            codes, group: group, scales: scales.rawSpan, zeros: offsets.rawSpan,
            into: &halves, on: level)
        }
        let rounded = try #require(halves)
        let patterns = stride(from: 0, to: rounded.count, by: 2).map {
          Float(bitPattern: UInt32(rounded[$0]) << 16 | UInt32(rounded[$0 + 1]) << 24)
        }
        let once = expected.map { value in
          let bits = value.bitPattern
          let bias = 0x7FFF + (bits >> 16 & 1)
          return value.isNaN ? value : Float(bitPattern: (bits &+ bias) & 0xFFFF_0000)
        }
        #expect(mismatch(patterns, once, by: .sameBitsOrNaN) == nil, "\(count)")
        let sums = Reference.addedRun(codes, group: group, scales: scales, added: offsets)
        #expect(mismatch(try #require(added), sums, by: .sameBitsOrNaN) == nil, "\(count)")
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
