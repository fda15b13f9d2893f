import Checkpoints
import TensorCore
import TestKit
import Testing

/// Experts that few tokens or none come to: rounded to nearest, listed and counted, whatever the method.
@Suite struct ExpertTests {
  private let folder: TemporaryFolder
  private let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    try TinyExperts.write(to: source)
  }

  private func plan(
    _ method: String, _ change: (inout WeightQuantization) -> Void = { _ in }
  ) throws -> WeightPlan {
    var quantization = try WeightQuantization(method: method, formats: ["compressed-tensors"])
    quantization.groupSize = 32
    change(&quantization)
    var options = ConversionOptions(target: .asIs)
    (options.sync, options.threads) = (false, 2)
    let windows = (0..<4).map { window in
      CalibrationDocument(
        ids: (0..<32).map { Int32((window * 32 + $0) * 7 % TinyExperts.vocabulary) }, isText: false)
    }
    let calibration = try Calibration(
      windows, from: ["drawn"], Calibration.Options(), vocabulary: TinyExperts.vocabulary)
    return try WeightPlan(
      Checkpoint(opening: source), quantization, options, calibration: calibration)
  }

  @Test(arguments: ["gptq", "awq", "awq+gptq"])
  func starvedExpertsAreRoundedAndListed(method: String) throws {
    let report = try plan(method).run(to: folder.path("out"))
    #expect(report.layers.count == TinyExperts.blocks * (4 + 4 * 3))
    for layer in report.layers {
      let tokens = try #require(layer.report.tokens)
      let isStarved = layer.name.contains("experts.2") || layer.name.contains("experts.3")
      #expect(isStarved ? tokens < 64 : tokens >= 64, "\(layer.name) \(tokens)")
      #expect((layer.report.fallback != nil) == isStarved, "\(layer.name)")
      #expect(layer.method == (isStarved ? "rtn" : method == "awq" ? "awq" : "gptq"))
      if layer.name.contains("experts.2") { #expect(tokens > 0) }
      if layer.name.contains("experts.3") { #expect(tokens == 0) }
      #expect(layer.json["tokens"]?.int == tokens)
    }
    #expect(report.fallbacks.count == TinyExperts.blocks * 2 * 3)
    #expect(report.json["fallbacks"]?.array?.count == report.fallbacks.count)
    #expect(report.json["calibration"]?["tokens_used"]?.int == 128)
    #expect(report.outputs[0].layers.allSatisfy { $0.isEqual })
  }

  @Test(arguments: ["gptq", "awq"]) func strictRefusesThem(method: String) throws {
    let failure = #expect(throws: Failure.self) {
      try plan(method) { $0.strict = true }.run(to: folder.path("out"))
    }
    #expect(failure?.kind == .cannotRepresent && failure?.place.contains("experts.") == true)
    #expect(FileSystem.kind(of: folder.path("out")) == nil)
  }

  /// A router never is quantized.
  @Test func routersStayDense() throws {
    let gates = (0..<TinyExperts.blocks).map { "model.layers.\($0).block_sparse_moe.gate" }
    let dense = try plan("gptq").denseLayers
    #expect(Set(gates).isSubset(of: dense))
  }
}
