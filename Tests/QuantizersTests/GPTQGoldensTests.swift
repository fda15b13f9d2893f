import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// GPTQModel's and the original code's results on layers of small models.
@Suite("GPTQ beside its peers")
struct GPTQGoldensTests {
  /// Sixteen rows of the first layer.
  @Test func firstRows() throws {
    let golden = try GPTQGolden(Fixtures.path("quantizers/gptq/layer0.safetensors"))
    for one in GPTQCase.all where one.layer == 0 { try check(one, golden) }
  }

  @Test func allCases() throws {
    guard let root = Fixtures.goldens, FileSystem.kind(of: root + "/layers-gptq") == .folder else {
      print("skipped: GPTQ's layers; NIBBLE_GOLDENS names no folder with layers-gptq")
      return
    }
    let layers = try (0...1).map { try GPTQGolden("\(root)/layers-gptq/layer\($0).safetensors") }
    for one in GPTQCase.all { try check(one, layers[one.layer]) }
    print("compared \(GPTQCase.all.count) results of GPTQ")
  }

  /// Codes agree but for a few near ties, and the loss is no larger by more than a thousandth.
  private func check(_ one: GPTQCase, _ golden: GPTQGolden) throws {
    let isOriginal = one.name.hasPrefix("ist")
    // The original code counts sequences, here of 128 tokens.
    let hessian = try Hessian(
      golden.hessian.map { isOriginal ? $0 * 128 : $0 }, columns: golden.weight.columns,
      tokens: golden.tokens, name: one.description)
    let layer = try one.settings.quantize(golden.weight, hessian, name: one.description)
    let matrix = layer.matrix
    let expected = try golden.floats("\(one.name).Q")
    let ours = matrix.dequantized()
    let same = zip(ours, expected).count { abs($0 - $1) <= 1e-5 * max(abs($0), abs($1)) }
    var codes = same
    if !isOriginal {
      codes = zip(matrix.codes, try golden.codes("\(one.name).codes")).count { $0 == $1 }
    }
    let loss = Self.loss(golden, ours)
    let peerLoss = Self.loss(golden, expected)
    if golden.weight.rows > 16 {
      print("\(one): codes alike \(Double(codes) / Double(ours.count)), loss \(loss / peerLoss)")
    }
    #expect(Double(codes) >= one.leastAlike * Double(ours.count), "\(one)")
    #expect(loss <= peerLoss * 1.001, "\(one)")
  }

  /// tr((W−Q)·H·(W−Q)ᵀ) in f64.
  static func loss(_ golden: GPTQGolden, _ values: [Float]) -> Double {
    let (rows, columns) = (golden.weight.rows, golden.weight.columns)
    var sum = 0.0
    for row in 0..<rows {
      let error = (0..<columns).map {
        Double(golden.weight.values[row * columns + $0]) - Double(values[row * columns + $0])
      }
      for i in 0..<columns where error[i] != 0 {
        var dot = 0.0
        for j in 0..<columns { dot += Double(golden.hessian[i * columns + j]) * error[j] }
        sum += error[i] * dot
      }
    }
    return sum
  }
}
