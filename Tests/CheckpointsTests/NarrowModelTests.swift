import Checkpoints
import Containers
import TensorCore
import TestKit
import Testing

/// Whole models whose codes are packed in words of 8 and 16 bits (GPTQ-27), as GPTQModel wrote the layers.
@Suite struct NarrowModelTests {
  private let folder: TemporaryFolder
  private let file: ShardedTensors

  init() throws {
    folder = try TemporaryFolder()
    file = try ShardedTensors(
      opening: Fixtures.path("gptq/golden/layers-gptq-narrow/layers.safetensors"))
  }

  private static let name = "model.layers.0.mlp.up_proj"

  private func source(_ bits: Int, _ word: Int) throws -> String {
    var model = Model()
    for (part, stored) in [
      ("qweight", "qweight"), ("qzeros", "qzeros_v1"), ("scales", "scales_fp16"),
    ] {
      let tensor = try #require(file["b\(bits)w\(word).\(stored)"])
      model.add(
        "\(Self.name).\(part)", tensor.dtype, tensor.shape.dimensions,
        try Files.bytes(of: tensor))
    }
    model.config = """
      {"model_type": "llama", "quantization_config": {"bits": \(bits), "group_size": 32, \
      "desc_act": false, "sym": false, "quant_method": "gptq", "checkpoint_format": "gptq", \
      "pack_dtype": "int\(word)", "meta": {"quantizer": ["gptqmodel:7.7.0"]}}}
      """
    try model.write(to: folder.path("in"))
    return folder.path("in")
  }

  @Test(arguments: [2, 4, 8], [8, 16]) func convertsWithEveryNumber(bits: Int, word: Int) throws {
    let source = try Checkpoint(opening: source(bits, word))
    #expect(source.findings.allSatisfy { $0.severity != .error }, "\(source.findings)")
    for target in ["gptq_v2", "compressed-tensors", "mlx"] + (bits == 4 ? ["awq"] : []) {
      try Laws.check(Converted(source, to: target), numbersOf: source)
    }
    let dense = try Converted(source, to: "dense") { $0.target = .dense(.f32) }
    let written = try #require(dense.output.tensors[Self.name + ".weight"])
    let expected = try #require(file["b\(bits)w\(word).dequant_f32"])
    #expect(written.shape == expected.shape)
    #expect(try Files.bytes(of: written) == Files.bytes(of: expected))
  }
}
