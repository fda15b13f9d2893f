import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Float conversions")
struct FloatConversionTests {
  private func shortPatterns(_ patterns: [UInt32], bytes: Int) -> [UInt8] {
    patterns.flatMap { pattern in (0..<bytes).map { UInt8(truncatingIfNeeded: pattern >> ($0 * 8)) }
    }
  }

  private func read(_ dtype: DType, _ source: [UInt8], on level: Processor.Level) throws -> [Float]
  {
    let count = source.count * 8 / dtype.bits
    let values = try fenced(source, count: count * 4) { source, target throws(Failure) in
      try FloatConversion.toFloat32(dtype, source, into: &target, on: level)
    }
    return floats(of: try #require(values))
  }

  private func write(_ dtype: DType, _ values: [Float], on level: Processor.Level) throws -> [UInt8]
  {
    let count = values.count * dtype.bits / 8
    let written = try fenced(bytes(of: values), count: count) { source, target throws(Failure) in
      try FloatConversion.fromFloat32(dtype, source, into: &target, on: level)
    }
    return try #require(written)
  }

  @Test("whole numbers of 16 bits are read exactly")
  func wholeNumbers() throws {
    let all = Array(UInt32(0)..<65536)
    for level in Processor.levels {
      let read = fenced(shortPatterns(all, bytes: 2), count: all.count * 4) { source, target in
        FloatConversion.fromUInt16(source, into: &target, on: level)
      }
      #expect(mismatch(floats(of: try #require(read)), all.map { Float($0) }, by: .sameBits) == nil)
    }
  }

  @Test("every pattern of every short dtype is read exactly")
  func everyPattern() throws {
    let long = Array(UInt32(0)..<65536)
    let short = Array(UInt32(0)..<256)
    for level in Processor.levels {
      let halves = try read(.f16, shortPatterns(long, bytes: 2), on: level)
      #expect(mismatch(halves, long.map(FloatFormat.f16.value), by: .sameBits) == nil)
      let brains = try read(.bf16, shortPatterns(long, bytes: 2), on: level)
      #expect(mismatch(brains, long.map { Float(bitPattern: $0 << 16) }, by: .sameBits) == nil)
      let eights: [(DType, (UInt32) -> Float)] = [
        (.f8e4m3, FloatFormat.f8e4m3.value), (.f8e5m2, FloatFormat.f8e5m2.value),
        (.f8e4m3fnuz, FloatFormat.f8e4m3fnuz.value), (.f8e5m2fnuz, FloatFormat.f8e5m2fnuz.value),
        (.f8e8m0, FloatFormat.valueOfE8M0),
      ]
      for (dtype, value) in eights {
        let values = try read(dtype, shortPatterns(short, bytes: 1), on: level)
        #expect(mismatch(values, short.map(value), by: .sameBits) == nil, "\(dtype)")
      }
    }
  }

  @Test("the reference reads what the definitions say")
  func knownValues() {
    #expect(FloatFormat.f16.value(0x3C01) == 1 + 0x1p-10)
    #expect(FloatFormat.f16.value(0x0001) == 0x1p-24)
    #expect(FloatFormat.f16.value(0x7BFF) == 65504)
    #expect(FloatFormat.f16.value(0xFC00) == -.infinity)
    #expect(FloatFormat.f16.value(0x7C01).bitPattern == 0x7FC0_2000)
    #expect(FloatFormat.f8e4m3.value(0x7E) == 448)
    #expect(FloatFormat.f8e4m3.value(0x01) == 0x1p-9)
    #expect(FloatFormat.f8e4m3.value(0xFF).bitPattern == 0xFFF0_0000)
    #expect(FloatFormat.f8e5m2.value(0x7B) == 57344)
    #expect(FloatFormat.f8e5m2.value(0x7C) == .infinity)
    #expect(FloatFormat.f8e4m3fnuz.value(0x7F) == 240)
    #expect(FloatFormat.f8e4m3fnuz.value(0x80).isNaN)
    #expect(FloatFormat.f8e5m2fnuz.value(0x7F) == 57344)
    #expect(FloatFormat.valueOfE8M0(0) == 0x1p-127)
    #expect(FloatFormat.valueOfE8M0(254) == 0x1p127)
  }

  @Test("f32 is rounded to nearest even at and around every tie")
  func everyTie() throws {
    var random = SplitMix64(seed: 0x58)
    let formats: [(DType, FloatFormat)] = [(.f16, .f16), (.bf16, .bf16)]
    for (dtype, format) in formats {
      var values = difficultFloats + difficultFloats(5003, from: &random)
      for pattern in UInt32(0)..<65535 where pattern % 7 == 0 || pattern & 0x7FFF > 0x7BF0 {
        let (a, b) = (format.value(pattern), format.value(pattern + 1))
        let tie = a.isFinite && b.isFinite ? (a / 2 + b / 2) : a
        values += [a, tie.nextDown, tie, tie.nextUp]
      }
      let expected = shortPatterns(values.map(format.pattern), bytes: 2)
      for level in Processor.levels {
        let written = try write(dtype, values, on: level)
        #expect(mismatch(written, expected) == nil, "\(dtype), \(random)")
      }
    }
  }

  @Test("every count, so that every end of a run is reached")
  func everyCount() throws {
    var random = SplitMix64(seed: 0x59)
    for level in Processor.levels {
      for count in sizes {
        let values = difficultFloats(count, from: &random)
        let halves = shortPatterns(values.map(FloatFormat.f16.pattern), bytes: 2)
        let brains = shortPatterns(values.map(FloatFormat.bf16.pattern), bytes: 2)
        #expect(try write(.f16, values, on: level) == halves)
        #expect(try write(.bf16, values, on: level) == brains)
        #expect(try write(.f32, values, on: level) == bytes(of: values))
        for dtype in FloatConversion.writable {
          let there = try read(dtype, write(dtype, values, on: level), on: level)
          let again = try write(dtype, there, on: level)
          #expect(try again == write(dtype, values, on: level), "\(dtype)")
        }
      }
    }
  }

  @Test("dtypes without a conversion are refused")
  func refused() {
    #expect(throws: Failure.self) { try read(.i32, [], on: .best) }
    #expect(throws: Failure.self) { try read(.f4, [], on: .best) }
    #expect(throws: Failure.self) { try write(.f8e4m3, [], on: .best) }
  }
}
