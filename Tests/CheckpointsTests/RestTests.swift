import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Layers that a target can't hold: refused by name, or written dense where that is asked for.
@Suite struct RestTests {
  private let folder: TemporaryFolder
  private static let embedding = "model.embed_tokens"

  /// MLX packs embeddings as it packs linear layers.
  init() throws {
    folder = try TemporaryFolder()
    var random = SplitMix64(seed: 8)
    var model = Model()
    model.config = Packing().config()
    for name in [Self.embedding, "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"] {
      model.addRounded(name, Packing(), from: &random)
    }
    model.addDense("model.norm.weight", [256])
    try model.write(to: folder.path("gptq"))
    let options = try ConversionOptions(target: "mlx")
    _ = try ConversionPlan(Checkpoint(opening: folder.path("gptq")), options)
      .pour(to: folder.path("mlx"))
  }

  @Test(arguments: ["gptq", "awq", "compressed-tensors"])
  func packedEmbeddingIsRefusedWhereLoadersWantItDense(target: String) throws {
    let source = try Checkpoint(opening: folder.path("mlx"))
    let failure = try #require(throws: Failure.self) {
      try ConversionPlan(source, ConversionOptions(target: target))
    }
    #expect(failure.kind == .cannotRepresent)
    #expect(failure.reasons.map(\.names) == [[Self.embedding]])
    #expect(failure.remedy?.contains("--rest dense") == true)
  }

  @Test(arguments: ["gptq", "awq", "compressed-tensors"], [DType.f16, .f32])
  func restIsWrittenDense(target: String, type: DType) throws {
    let result = try Converted(folder.path("mlx"), to: target) { $0.restType = type }
    #expect(result.plan.rest.map(\.name) == [Self.embedding])
    #expect(result.report.rest?.names == [Self.embedding])
    #expect(result.report.isLossless == (type == .f32))
    #expect(result.output.findings.isEmpty, "\(result.output.findings)")
    #expect(result.output.layers.map(\.layout) == [target, target])
    try Laws.expectPredicted(result)
    let packed = try #require(result.source.layer(named: Self.embedding))
    let weights = try QuantizedMatrix(result.source.open(packed)).dequantized()
    let written = try #require(result.output.tensors[Self.embedding + ".weight"])
    #expect(written.dtype == type)
    let bytes = try Files.bytes(of: written)
    let found = type == .f32 ? floats(of: bytes) : halves(of: bytes)
    let expected = type == .f32 ? weights : weights.map { Float(Float16($0)) }
    #expect(mismatch(found, expected, by: .sameBits) == nil)
    let rules = try #require(result.output.config.scheme).rules()
    #expect(target != "compressed-tensors" || rules.settings(for: Self.embedding) == nil)
  }

  /// Of fused experts one can't be held, so all of them are dense, in one tensor and in their order.
  @Test func expertsOfOneTensorStayTogether() throws {
    var model = Model()
    model.config = """
      {"model_type": "llama", "quantization": {"group_size": 32, "bits": 4, "mode": "affine"}}
      """
    let one: [UInt8] = [0x00, 0x3C]
    // Terms of −8 are zero points of 8; a term of 0.3 is no whole zero point.
    let whole: [UInt8] = [0x00, 0xC8]
    let broken: [UInt8] = [0xCD, 0x34]
    for (name, terms) in [("a.up_proj", [whole]), ("b.up_proj", [whole, broken])] {
      let shape = terms.count == 1 ? [] : [terms.count]
      let words = (0..<terms.count * 32 * 64 / 2).map { UInt8(truncatingIfNeeded: $0) }
      model.add("\(name).weight", .u32, shape + [32, 8], words)
      let ones = (0..<terms.count * 64).flatMap { _ in one }
      model.add("\(name).scales", .f16, shape + [32, 2], ones)
      let biases = terms.flatMap { term in (0..<64).flatMap { _ in term } }
      model.add("\(name).biases", .f16, shape + [32, 2], biases)
    }
    try model.write(to: folder.path("experts"))
    let result = try Converted(folder.path("experts"), to: "gptq") { $0.restType = .f32 }
    #expect(result.plan.rest.map(\.name).sorted() == ["b.up_proj[0]", "b.up_proj[1]"])
    #expect(result.output.layers.map(\.name) == ["a.up_proj"])
    let weights = try result.plan.source.layers.filter { $0.slice != nil }
      .sorted { ($0.slice?.index ?? 0) < ($1.slice?.index ?? 0) }
      .flatMap { try QuantizedMatrix(result.source.open($0)).dequantized() }
    let written = try #require(result.output.tensors["b.up_proj.weight"])
    #expect(written.shape.dimensions == [2, 32, 64])
    #expect(try mismatch(floats(of: Files.bytes(of: written)), weights, by: .sameBits) == nil)
  }

  /// The same layout keeps what it has: nothing is asked of loaders that they did not do before.
  @Test func sameLayoutKeepsPackedEmbeddings() throws {
    let result = try Converted(folder.path("gptq"), to: "gptq")
    #expect(result.output.layer(named: Self.embedding) != nil)
  }

  /// Act-order has no place in AWQ: those layers are dense, and the config says so.
  @Test func permutedLayersAreTheRest() throws {
    let source = try Checkpoint(opening: Samples.permuted)
    let result = try Converted(Samples.threeBits, to: "gptq_v2") { $0.restType = .bf16 }
    #expect(result.plan.rest.isEmpty && result.report.isLossless)
    var options = try ConversionOptions(target: "awq")
    options.restType = .bf16
    let failure = #expect(throws: Failure.self) { try ConversionPlan(source, options) }
    // Not one layer would be left to pack.
    #expect(failure?.kind == .cannotRepresent)
  }

  private func halves(of bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 2).map {
      Float(Float16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
    }
  }
}
