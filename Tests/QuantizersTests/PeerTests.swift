import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// bitsandbytes 0.50.2 on the CPU, bit for bit: numbers at the edges of its rules, and whole layers.
@Suite struct PeerTests {
  private func quantized(
    _ values: [Float], _ quantizer: FourBit
  ) -> (packed: [UInt8], absmax: [UInt8]) {
    let blocks = values.count.dividedRoundingUp(by: quantizer.blockSize)
    let absmax = filled(blocks * 4) { _ = quantizer.absmax(values.rawSpan, into: &$0) }
    let packed = filled((values.count + 1) / 2) {
      quantizer.quantize(values.rawSpan, absmax: absmax.rawSpan, into: &$0)
    }
    return (packed, absmax)
  }

  @Test(arguments: FourBit.Kind.allCases, ["edges", "odd", "short", "half"])
  func fourBitsAtTheEdges(kind: FourBit.Kind, name: String) throws {
    let file = try PeerFile("edges")
    let key = "\(kind.rawValue).\(name)"
    let found = quantized(try file.floats("\(key).values"), try FourBit(kind, rules: .cpu))
    #expect(mismatch(found.packed, try file.bytes("\(key).packed")) == nil)
    #expect(mismatch(found.absmax, try file.bytes("\(key).absmax")) == nil)
  }

  @Test(arguments: [
    ("q4_0", FourBit.Kind.nf4, 64), ("q4_1", .nf4, 64), ("q4_2", .fp4, 64), ("q4_3", .fp4, 128),
    ("q4_4", .nf4, 256),
  ])
  func layers(name: String, kind: FourBit.Kind, block: Int) throws {
    let file = try PeerFile("layers")
    let weight = try file.floats("\(name).weight")
    let found = quantized(weight, try FourBit(kind, blockSize: block, rules: .cpu))
    #expect(mismatch(found.packed, try file.bytes("\(name).packed")) == nil)
    guard file.names.contains("\(name).nested_absmax") else {
      #expect(mismatch(found.absmax, try file.bytes("\(name).absmax")) == nil)
      return
    }
    let double = try DoubleQuantization(of: found.absmax.rawSpan, rules: .cpu)
    #expect(double.offset == (try file.floats("\(name).nested_offset"))[0])
    let centred = filled(found.absmax.count) { span in
      span.copy(from: found.absmax.rawSpan)
      double.centre(&span)
    }
    let count = centred.count / 4
    let nested = filled(count.dividedRoundingUp(by: 256) * 4) {
      double.nestedAbsmax(centred.rawSpan, into: &$0)
    }
    let codes = filled(count) {
      double.quantize(centred.rawSpan, nested: nested.rawSpan, into: &$0)
    }
    #expect(mismatch(nested, try file.bytes("\(name).nested_absmax")) == nil)
    #expect(mismatch(codes, try file.bytes("\(name).absmax")) == nil)
  }

  /// Where the rules differ both codes stand for equally near numbers: at ties, between the two zeros
  /// of FP4, and in blocks of zeros.
  @Test(arguments: [("q4_0", FourBit.Kind.nf4, 64), ("q4_2", .fp4, 64), ("q4_3", .fp4, 128)])
  func rulesDifferWhereNothingIsNearer(name: String, kind: FourBit.Kind, block: Int) throws {
    let file = try PeerFile("layers")
    let weight = try file.floats("\(name).weight")
    let cuda = quantized(weight, try FourBit(kind, blockSize: block, rules: .cuda))
    let cpu = quantized(weight, try FourBit(kind, blockSize: block, rules: .cpu))
    #expect(cuda.absmax == cpu.absmax)
    let absmax = floats(of: cpu.absmax)
    func codes(_ packed: [UInt8]) -> [UInt8] { packed.flatMap { [$0 >> 4, $0 & 15] } }
    var differing = 0
    for (index, pair) in zip(codes(cuda.packed), codes(cpu.packed)).enumerated()
    where pair.0 != pair.1 {
      differing += 1
      let most = absmax[index / block]
      let errors = [pair.0, pair.1].map { code in
        (kind.table[Int(code)] * most - weight[index]).magnitude
      }
      #expect((errors[0] - errors[1]).magnitude <= most * 1e-6, "[\(index)] \(pair)")
    }
    #expect(differing * 50 < weight.count)
    #expect(kind == .nf4 || differing > 0)
  }

  @Test(arguments: ["dynamic", "linear", "float"])
  func eightBits(name: String) throws {
    let file = try PeerFile("edges")
    let tables = [
      "dynamic": CodeTables.dynamic(), "linear": CodeTables.linear(),
      "float": CodeTables.float(exponent: 4, mantissa: 3),
    ]
    let table = try #require(tables[name])
    let values = try file.floats("bytes.dynamic.values")
    let quantizer = try EightBit(table: table, blockSize: 256, rules: .cpu)
    let blocks = values.count.dividedRoundingUp(by: 256)
    let absmax = filled(blocks * 4) { _ = quantizer.absmax(values.rawSpan, into: &$0) }
    let codes = filled(values.count) {
      quantizer.quantize(values.rawSpan, absmax: absmax.rawSpan, into: &$0)
    }
    #expect(mismatch(absmax, try file.bytes("bytes.\(name).absmax")) == nil)
    #expect(mismatch(codes, try file.bytes("bytes.\(name).codes")) == nil)
  }

  @Test func eightBitsOfALayer() throws {
    let file = try PeerFile("layers")
    let values = try file.floats("b8_0.weight")
    let quantizer = try EightBit(blockSize: 256, rules: .cpu)
    let absmax = filled(20 * 4) { _ = quantizer.absmax(values.rawSpan, into: &$0) }
    let codes = filled(values.count) {
      quantizer.quantize(values.rawSpan, absmax: absmax.rawSpan, into: &$0)
    }
    #expect(mismatch(absmax, try file.bytes("b8_0.absmax")) == nil)
    #expect(mismatch(codes, try file.bytes("b8_0.q")) == nil)
  }

  @Test(arguments: [1, 7, 8, 100, 1000, 9000])
  func meansAreTorchs(count: Int) throws {
    let file = try PeerFile("edges")
    let values = try file.floats("mean.\(count).values")
    let mean = try file.floats("mean.\(count).mean")
    #expect(try DoubleQuantization(of: values.rawSpan, rules: .cpu).offset == mean[0])
  }

  @Test(arguments: [
    ("edges", "rows.values", "rows.codes", "rows.absmax"),
    ("layers", "i8_0.weight", "i8_0.CB", "i8_0.SCB"),
    ("layers", "i8_1.weight", "i8_1.CB", "i8_1.SCB"),
  ])
  func rows(name: String, weight: String, codes: String, absmax: String) throws {
    let file = try PeerFile(name)
    let columns = try file.columns(weight)
    let halves = try file.bytes(weight)
    let expected = (codes: try file.bytes(codes), absmax: try file.floats(absmax))
    let quantizer = Int8Rows(rules: .cpu)
    for row in expected.absmax.indices {
      let values = Array(halves[row * columns * 2..<(row + 1) * columns * 2])
      let most = quantizer.absmax(values.rawSpan)
      #expect(most.isFinite && most.value == expected.absmax[row])
      let found = filled(columns) {
        quantizer.quantize(values.rawSpan, absmax: most.value, into: &$0)
      }
      let known = Array(expected.codes[row * columns..<(row + 1) * columns])
      #expect(mismatch(found, known) == nil, "row \(row)")
    }
  }
}
