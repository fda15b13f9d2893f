import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

@Suite("The product of LLM.int8()")
struct MixedProductTests {
  static let cases = ["plain", "outliers", "single", "bf16", "f32"]

  @Test("weights and tokens in int8 as the peer has them", arguments: cases)
  func rows(name: String) throws {
    let golden = try Golden("products")
    let weights = try Int8Matrix(
      quantizing: golden.floats("\(name).weight"), columns: golden.shape("\(name).weight")[1])
    #expect(try weights.codes == golden.signedBytes("\(name).CB"))
    #expect(try weights.scales == golden.floats("\(name).SCB"))
    let tokens = try Int8Matrix(
      quantizing: golden.floats("\(name).x"), columns: weights.columns,
      threshold: name == "plain" ? 0 : 6)
    #expect(try tokens.codes == golden.signedBytes("\(name).codes"))
    #expect(try tokens.scales == golden.floats("\(name).scales"))
    if golden.has("\(name).columns") {
      let span = try golden.bytes("\(name).columns")
      let columns = (0..<span.count / 4).map { Int(span.rawSpan.uint32(at: $0)) }
      #expect(tokens.outlierColumns == columns && !columns.isEmpty)
    }
  }

  @Test("the whole product beside the peer's CPU code", arguments: cases)
  func product(name: String) throws {
    let golden = try Golden("products")
    let weights = try Int8Matrix(
      codes: golden.signedBytes("\(name).CB"), scales: golden.floats("\(name).SCB"),
      columns: golden.shape("\(name).CB")[1])
    let types: [DType: ParameterType] = [.f16: .f16, .bf16: .bf16, .f32: .f32]
    let type = try #require(types[golden.dtype("\(name).x")])
    let expected = try golden.floats("\(name).y")
    let bias = golden.has("\(name).bias") ? try golden.floats("\(name).bias") : nil
    for level in Processor.levels {
      let product = try MixedProduct(
        golden.floats("\(name).x"), weights: weights, threshold: name == "plain" ? 0 : 6,
        bias: bias, type: type, rules: .cpu, on: level)
      // Without outliers nothing is left open; with them the last rounding may fall otherwise.
      let bound: Float =
        switch type {
        case .f32: 1e-5
        case .f16: 0x1p-6
        case .bf16: 0x1p-3
        }
      let rule: FloatRule = product.outlierColumns.isEmpty ? .sameBits : .within(bound)
      #expect(mismatch(product.values, expected, by: rule) == nil)
      let cuda = try MixedProduct(
        golden.floats("\(name).x"), weights: weights, threshold: name == "plain" ? 0 : 6,
        bias: bias, type: type, rules: .cuda, on: level)
      #expect(mismatch(cuda.values, expected, by: .within(max(bound, 0x1p-6) * 2)) == nil)
    }
  }

  @Test("outliers are counted, NaN is refused, rows of zeros are zeros")
  func edges() throws {
    let rows = try Int8Matrix(quantizing: [0, 0, 6, -7, 1, 2], columns: 2, threshold: 6)
    #expect(rows.outlierColumns == [0, 1] && rows.outlierCount == 2)
    #expect(rows.codes.allSatisfy { $0 == 0 } && rows.scales == [0, 0, 2])
    #expect(throws: Failure.self) { try Int8Matrix(quantizing: [1, .nan], columns: 2) }
    #expect(throws: Failure.self) { try Int8Matrix(quantizing: [1, 70000], columns: 2) }
    let half = try Int8Matrix(quantizing: [1, -2, 0.5, 0.015748], columns: 4)
    #expect(half.codes == [64, -127, 32, 1] && half.scales == [2])
    let weights = Int8Matrix(codes: [1, 2], scales: [1], columns: 2)
    #expect(throws: Failure.self) { try MixedProduct([1, 2, 3], weights: weights) }
  }
}
