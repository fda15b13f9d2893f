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
    #expect(failure.details.count == 1)
    #expect(failure.details.first?.hasPrefix(Self.embedding) == true)
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
