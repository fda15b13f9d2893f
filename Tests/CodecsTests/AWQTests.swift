import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// `Formats/awq.md` against the writers' own files.
@Suite struct AWQTests {
  @Test(arguments: try Golden.fixtures("awq"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(!golden.layerNames.isEmpty)
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let expected = try Expected(golden, name)
      #expect(try DecodeChecks.agrees(layer, with: expected) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
    }
  }

  @Test(arguments: try Golden.fixtures("awq"))
  func goldenIsWrittenAgainByteForByte(golden: Golden) throws {
    for name in golden.layerNames {
      let layer = try golden.open(name)
      #expect(try golden.codec.refusal(of: layer.facts) == nil)
      try DecodeChecks.writesAlike(layer, golden.codec)
    }
  }

  /// One layer packed by the writer's own code outside of a model, with its weights.
  @Test func singleLayerHoldsItsWritersNumbers() throws {
    let path = Fixtures.path("awq/golden/layers-awq/layers.safetensors")
    let parts = try LayerFile(path)
    let tensors = try ["qweight", "qzeros", "scales"].map {
      try parts.tensor("p1.gemm.\($0)", named: "layer.\($0)")
    }
    let layer = try Opened.layer(AWQ(), tensors, groupSize: 32)
    let matrix = try QuantizedMatrix(layer)
    let zeros = try parts.halfFloats("p1.zeros").map { UInt16($0) }
    #expect(mismatch(matrix.zeros, zeros) == nil)
    #expect(Set(zeros).count > 4)
    let weights = try parts.floats("p1.gemm.dequant_f32")
    // The writer's code returns [input][output].
    let turned = (0..<64).flatMap { row in (0..<128).map { weights[$0 * 64 + row] } }
    #expect(mismatch(matrix.dequantized(), turned, by: .sameBits) == nil)
    try DecodeChecks.writesAlike(layer, AWQ())
  }

  @Test(arguments: 0..<32) func oneFlippedBitIsSeen(bit: Int) throws {
    let golden = try #require(try Golden.fixtures("awq").first)
    let name = try #require(golden.layerNames.first)
    let expected = try Expected(golden, name)
    for (part, what) in [("qweight", "codes"), ("qzeros", "zeros"), ("scales", "scales")] {
      let original = try #require(golden.tensor("\(name).\(part)"))
      var bytes = try original.content()
      bytes[bytes.count - 4 + bit / 8] ^= 1 << (bit % 8)
      let damaged = Tensor(info: original.info, source: MemorySource(bytes), offset: 0)
      let tensors = golden.tensors.filter { $0.name != original.name } + [damaged]
      let layer = try Opened.layer(golden.codec, tensors, named: name, scheme: golden.scheme)
      #expect(try DecodeChecks.agrees(layer, with: expected)?.hasPrefix(what) == true)
    }
  }

  /// The worked example of `Formats/awq.md`, word for word.
  @Test func workedExample() throws {
    let numbers = Numbers(
      rows: 8, columns: 8, bits: 4, groups: [0, 0, 0, 0, 1, 1, 1, 1], groupCount: 2,
      codes: (0..<64).map { UInt8(($0 % 8 + $0 / 8) % 16) },
      zeros: (0..<16).map { UInt16($0 % 2 == 0 ? 8 : $0 / 2) },
      scales: [UInt16](repeating: 0x3800, count: 16))
    let words: [UInt32] = [
      0x7531_6420, 0x8642_7531, 0x9753_8642, 0xA864_9753, 0xB975_A864, 0xCA86_B975, 0xDB97_CA86,
      0xECA8_DB97,
    ]
    let tensors = try numbers.awq()
    #expect(try tensors[0].content().words == words)
    #expect(try tensors[1].content().words == [0x8888_8888, 0x7531_6420])
    let layer = try Opened.layer(AWQ(), tensors, groupSize: 4)
    let matrix = try QuantizedMatrix(layer)
    #expect(matrix.codes == numbers.codes)
    #expect(matrix.zeros == numbers.zeros)
    let file = try LayerFile(Fixtures.path("awq/valid/example/model.safetensors"))
    for part in tensors { #expect(try file.holds(part, in: "model.layers.0.self_attn.q_proj")) }
    // Output 2, input 5: code 7, zero point 2, scale ½.
    #expect(matrix.weight(row: 2, column: 5) == 2.5)
    try DecodeChecks.writesAlike(layer, AWQ())
  }
}
