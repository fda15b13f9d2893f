import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// The mean errors that bitsandbytes' own tests hold its kernels to, on normal numbers.
@Suite struct ErrorTests {
  /// Block size, and for NF4 and FP4 the mean error and the mean error over the magnitude.
  private static let known: [(block: Int, nf4: (Float, Float), fp4: (Float, Float))] = [
    (32, (0.067746, 0.189726), (0.088925, 0.242443)),
    (64, (0.072798, 0.203339), (0.096543, 0.260125)),
    (128, (0.076831, 0.215237), (0.102969, 0.275817)),
    (256, (0.080337, 0.226105), (0.108684, 0.289831)),
    (512, (0.083547, 0.236079), (0.114115, 0.302881)),
    (1024, (0.086610, 0.245370), (0.119333, 0.315000)),
    (2048, (0.089592, 0.254163), (0.124556, 0.326607)),
    (4096, (0.092547, 0.262473), (0.129536, 0.337169)),
  ]

  @Test(arguments: FourBit.Kind.allCases, FourBit.blockSizes)
  func fourBits(kind: FourBit.Kind, block: Int) throws {
    let known = try #require(Self.known.first { $0.block == block })
    let expected = kind == .nf4 ? known.nf4 : known.fp4
    var random = SplitMix64(seed: 0x91)
    let values = normals(1 << 18, from: &random)
    let quantizer = try FourBit(kind, blockSize: block)
    let absmax = filled(values.count / block * 4) {
      _ = quantizer.absmax(values.rawSpan, into: &$0)
    }
    let packed = filled(values.count / 2) {
      quantizer.quantize(values.rawSpan, absmax: absmax.rawSpan, into: &$0)
    }
    let most = floats(of: absmax)
    let table = kind.table
    var (sum, relative) = (0.0, 0.0)
    for (index, value) in values.enumerated() {
      let byte = packed[index / 2]
      let code = index % 2 == 0 ? byte >> 4 : byte & 15
      let error = Double((table[Int(code)] * most[index / block] - value).magnitude)
      sum += error
      relative += error / (Double(value.magnitude) + 1e-8)
    }
    let count = Double(values.count)
    // A quarter of the peer's sample: its 7 deviations are some 1 % and 2 % at the largest blocks.
    #expect((sum / count - Double(expected.0)).magnitude < 0.015 * Double(expected.0))
    #expect((relative / count - Double(expected.1)).magnitude < 0.015 * Double(expected.1))
  }

  @Test func eightBits() throws {
    var random = SplitMix64(seed: 0x92)
    let cases: [(values: [Float], table: [Float], absolute: Double, relative: Double)] = [
      (normals(1 << 18, from: &random), CodeTables.dynamic(), 0.011, 0.018),
      (
        (0..<1 << 18).map { _ in Float.random(in: -1...1, using: &random) }, CodeTables.dynamic(),
        0.0036, 0.015
      ),
      (
        (0..<1 << 18).map { _ in Float.random(in: 0...1, using: &random) },
        CodeTables.dynamic(signed: false), 0.0023, 0.012
      ),
    ]
    for (values, table, absolute, relative) in cases {
      let quantizer = try EightBit(table: table)
      let absmax = filled(values.count / 4096 * 4) {
        _ = quantizer.absmax(values.rawSpan, into: &$0)
      }
      let codes = filled(values.count) {
        quantizer.quantize(values.rawSpan, absmax: absmax.rawSpan, into: &$0)
      }
      let read = floats(
        of: filled(values.count * 4) {
          quantizer.dequantize(codes.rawSpan, absmax: absmax.rawSpan, into: &$0)
        })
      let errors = zip(read, values).map { Double(($0 - $1).magnitude) }
      let shares = zip(errors, values).map { $0 / (Double($1.magnitude) + 1e-8) }
      let count = Double(values.count)
      #expect(errors.reduce(0, +) / count < absolute)
      #expect(shares.reduce(0, +) / count < relative)
    }
  }
}
