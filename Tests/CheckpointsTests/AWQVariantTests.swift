import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Whole checkpoints from and to the layouts that are kin of AWQ, HQQ, and what is only recognised.
@Suite struct AWQVariantTests {
  static let gemv = Fixtures.path("awq_gemv/golden/awq-llamanano-w4g32-gemv")
  static let fast = Fixtures.path("awq_gemv_fast/golden/awq-llamanano-w4g64-gemvfast")
  static let hqq = Fixtures.path("hqq/golden/hqq-llamanano-w4g64")
  static let autoRound = Fixtures.path(
    "autoround/golden/autoround-llamanano-w2g32-asym-autoround")

  @Test(arguments: [gemv, fast, hqq, autoRound]) func goldensAreInOrder(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    #expect(checkpoint.findings.isEmpty, "\(checkpoint.findings)")
    #expect(!checkpoint.layers.isEmpty)
    #expect(checkpoint.config.scheme?.layout == checkpoint.layers.first?.layout)
    #expect(try Verification(of: path, threads: 2).findings.isEmpty)
  }

  @Test(
    arguments: [gemv, Samples.awq], ["awq_gemv", "awq_gemv_fast", "llm_awq", "awq", "gptq_v2"])
  func wholeZerosGoEverywhere(path: String, target: String) throws {
    let result = try Converted(path, to: target)
    #expect(result.output.findings.isEmpty, "\(result.output.findings)")
    #expect(result.report.layers.allSatisfy { $0.isEqual })
    #expect(result.output.layers.allSatisfy { $0.layout == target })
    for claim in result.source.layers {
      let copy = try #require(result.output.layer(named: claim.name))
      var layer = try result.output.open(copy)
      if layer.form.offset != .integer { layer = try RecoveredZeros(layer, Workspace()) }
      #expect(try QuantizedMatrix(layer) == QuantizedMatrix(result.source.open(claim)))
    }
    let isRounded = ["awq_gemv_fast", "llm_awq"].contains(target)
    #expect(result.plan.notes.isEmpty == !isRounded)
  }

  @Test(arguments: ["awq_gemv", "awq", "gptq_v2"])
  func addedTermsBecomeZeros(target: String) throws {
    let result = try Converted(Self.fast, to: target)
    #expect(result.report.layers.allSatisfy { $0.isEqual })
    for layer in result.plan.layers {
      guard case .recoveredZeros(let difference) = layer.changes.first else {
        Issue.record("no zero points were recovered")
        continue
      }
      #expect(difference > 0 && difference < 0.01)
    }
    // And back again, to the writer's own bytes.
    let back = try Converted(result.output, to: "awq_gemv_fast")
    for tensor in result.source.tensors.tensors {
      let copy = try #require(back.output.tensors[tensor.name])
      let first = try tensor.contents()
      let second = try copy.contents()
      #expect(first.bytes.array == second.bytes.array, "\(tensor.name)")
    }
  }

  @Test func addedTermsStayAsTheyAre() throws {
    let result = try Converted(Self.fast, to: "llm_awq")
    #expect(result.plan.layers.allSatisfy { $0.changes.isEmpty })
    #expect(result.plan.notes.isEmpty)
    #expect(result.report.layers.allSatisfy { $0.isEqual })
    for claim in result.source.layers {
      let copy = try #require(result.output.layer(named: claim.name))
      let written = try QuantizedMatrix(result.output.open(copy))
      #expect(try written == QuantizedMatrix(result.source.open(claim)))
    }
  }

  @Test(
    arguments: try Fixtures.paths(in: "awq_gemv/invalid")
      + Fixtures.paths(in: "awq_gemv_fast/invalid"))
  func invalidCheckpointIsRefusedByItsRule(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    let errors = checkpoint.findings.filter { $0.severity == .error }
    #expect(!errors.isEmpty)
    #expect(errors.allSatisfy { $0.failure.rule == Fixtures.rule(of: path) }, "\(errors)")
    let failure = try #require(throws: Failure.self) { try Converted(path, to: "gptq_v2") }
    #expect(failure.kind == .malformed)
  }

  @Test func readOnlyLayoutsAreNoTargets() throws {
    let failure = try #require(throws: Failure.self) { try ConversionOptions(target: "hqq") }
    #expect(failure.kind == .usage)
    #expect(failure.expected?.contains("hqq") == false)
    #expect(!Codecs.writable.contains { $0.name == "hqq" })
    let refused = try #require(throws: Failure.self) { try Converted(Self.hqq, to: "gptq_v2") }
    #expect(refused.kind == .cannotRepresent)
  }

  @Test func recognisedFormatsAreRefused() throws {
    let folder = try TemporaryFolder()
    var model = Model()
    model.addGPTQ("model.layers.0.mlp.up_proj")
    model.add(
      "model.layers.0.mlp.down_proj.trellis", .i16, [2, 2, 64], .init(repeating: 0, count: 512))
    model.config = Model.gptqConfig()
    try model.write(to: folder.path("in"))
    let source = try Checkpoint(opening: folder.path("in"))
    #expect(source.layers.count == 1)
    #expect(source.findings.map { $0.failure.rule } == ["REC-3"])
    #expect(source.findings.map { $0.severity } == [.warning])
    let failure = try #require(throws: Failure.self) { try Converted(source, to: "gptq_v2") }
    #expect(failure.kind == .unsupported)
    #expect(failure.rule == "REC-3")
  }

  /// ParoQuant layers have AWQ's parts; without their rotation they are other weights.
  @Test func rotatedLayersAreNoPlainOnes() throws {
    let folder = try TemporaryFolder()
    var model = Model()
    model.addGPTQ("model.layers.0.mlp.up_proj")
    model.add("model.layers.0.mlp.up_proj.theta", .f16, [8, 32], .init(repeating: 0, count: 512))
    model.add("model.layers.0.mlp.up_proj.pairs", .i16, [8, 64], .init(repeating: 0, count: 1024))
    model.config = Model.gptqConfig()
    try model.write(to: folder.path("in"))
    let failure = try #require(throws: Failure.self) {
      try Converted(folder.path("in"), to: "gptq_v2")
    }
    #expect(failure.rule == "REC-7")
  }
}
