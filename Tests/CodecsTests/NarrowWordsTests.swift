import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// GPTQ-27: layers that GPTQModel packed in words of 8 and 16 bits.
@Suite struct NarrowWordsTests {
  struct Case: CustomStringConvertible, Sendable {
    let bits: Int
    let word: Int
    var description: String { "b\(bits)w\(word)" }
    static let all = [2, 4, 8].flatMap { bits in [8, 16].map { Case(bits: bits, word: $0) } }
  }

  private let file: LayerFile

  init() throws {
    file = try LayerFile(Fixtures.path("gptq/golden/layers-gptq-narrow/layers.safetensors"))
  }

  private func layer(_ test: Case, _ codec: GPTQ) throws -> any PackedLayer {
    let version = codec.version == .v1 ? "v1" : "v2"
    let tensors = [
      try file.tensor("\(test).qweight", named: "layer.qweight"),
      try file.tensor("\(test).qzeros_\(version)", named: "layer.qzeros"),
      try file.tensor("\(test).scales_fp16", named: "layer.scales"),
    ]
    return try Opened.layer(
      codec, tensors, bits: test.bits, groupSize: 32, writer: "gptqmodel:7.7.0")
  }

  @Test(arguments: Case.all, [GPTQ.v1, .v2]) func holdsItsWritersNumbers(
    test: Case, codec: GPTQ
  ) throws {
    #expect(try file.tensor("\(test).qweight", named: "x").dtype.bits == test.word)
    let layer = try layer(test, codec)
    let matrix = try QuantizedMatrix(layer)
    let zeros = try file.floats("\(test).zero").map { UInt16($0) }
    #expect(mismatch(matrix.zeros, zeros) == nil)
    let weights = try file.floats("\(test).dequant_f32")
    #expect(mismatch(matrix.dequantized(), weights, by: .sameBits) == nil)
    var random = SplitMix64(seed: 1)
    try DecodeChecks.readsAlike(layer, using: &random)
  }

  /// What is written has words of 32 bits, which every loader takes, and the same numbers.
  @Test(arguments: Case.all) func isWrittenInWholeWords(test: Case) throws {
    let layer = try layer(test, .v2)
    let tensors = try Opened.tensors(of: layer, as: GPTQ.v2)
    #expect(tensors.first { $0.name.hasSuffix("qweight") }?.dtype == .i32)
    let copy = try Opened.layer(GPTQ.v2, tensors, bits: test.bits, groupSize: 32)
    #expect(try QuantizedMatrix(copy) == QuantizedMatrix(layer))
  }
}
