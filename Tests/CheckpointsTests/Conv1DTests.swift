import Checkpoints
import Codecs
import Kernels
import Models
import Quantizers
import TensorCore
import TestKit
import Testing

/// GPT-2, whose dense weights are `[inputs, outputs]`, quantized as all other models are: packed layers have
/// outputs first, under the same names.
@Suite struct Conv1DTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func calibration() throws -> Calibration {
    var random = SplitMix64(seed: 23)
    let documents = (0..<6).map { _ in
      CalibrationDocument(
        ids: (0..<32).map { _ in
          Int32.random(in: 0..<Int32(Conv1DModel.vocabulary), using: &random)
        }, isText: false)
    }
    return try Calibration(
      documents, from: ["drawn"], Calibration.Options(), vocabulary: Conv1DModel.vocabulary)
  }

  private func run(
    _ source: String, _ method: String, _ formats: [String] = ["gptq"], to name: String = "out",
    _ change: (inout WeightQuantization) throws -> Void = { _ in }
  ) throws -> WeightReport {
    var quantization = try WeightQuantization(method: method, formats: formats)
    quantization.groupSize = 16
    try change(&quantization)
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    return try WeightPlan(
      Checkpoint(opening: source), quantization, options,
      calibration: quantization.isCalibrated ? Self.calibration() : nil
    ).run(to: folder.path(name))
  }

  /// The mean of −log p of the tokens that follow.
  private static func loss(_ path: String) throws -> Double {
    let ids = try ModelLogits(Fixtures.path("models/gpt2")).integers("input_ids").prefix(24)
    let model = try Checkpoint(opening: path).model(on: CPUCompute())
    let logits = try model.logits(Array(ids), model.makeState(capacity: ids.count))
    let width = Conv1DModel.vocabulary
    var sum = 0.0
    for (place, next) in ids.dropFirst().enumerated() {
      let row = logits[place * width..<(place + 1) * width].map(Double.init)
      let largest = row.max() ?? 0
      let total = row.reduce(0) { $0 + exponential($1 - largest) }
      sum += largest + logarithm(total) - row[Int(next)]
    }
    return sum / Double(ids.count - 1)
  }

  /// Each weight is rounded along its inputs, which are the dense tensor's rows: codes are as near to it as half of
  /// their step and the rounding of scales to F16.
  @Test(arguments: ["gptq", "gptq_v2", "awq", "compressed-tensors"])
  func weightsAreTurned(format: String) throws {
    let source = Fixtures.path("models/gpt2")
    let isFour = format == "awq"
    let report = try run(source, "rtn", [format]) { $0.bits = isFour ? 4 : 8 }
    #expect(report.layers.count == Conv1DModel.blocks * Conv1DModel.linears)
    let made = try Checkpoint(opening: folder.path("out"))
    #expect(made.findings.isEmpty, "\(made.findings.map(\.failure))")
    let layer = try #require(made.layer(named: "transformer.h.0.attn.c_attn"))
    #expect(layer.rows == 48 && layer.columns == 16)
    let dense = try Converted(folder.path("out"), to: "dense") { $0.target = .dense(.f32) }
    let original = try Checkpoint(opening: source)
    for tensor in original.tensors.tensors where tensor.name.contains(".c_") {
      let other = try #require(dense.output.tensors[tensor.name])
      #expect(other.shape == tensor.shape)
      let (left, right) = (try Self.floats(tensor), try Self.floats(other))
      let largest = left.reduce(0) { max($0, $1.magnitude) }
      let step = largest / (isFour ? 7 : 127)
      #expect(ModelLogits.difference(left, right) <= 0.5 * step + largest / 2000, "\(tensor.name)")
    }
  }

  private static func floats(_ tensor: Tensor) throws -> [Float] {
    let bytes = try Files.bytes(of: tensor)
    return (0..<tensor.shape.count).map { bytes.rawSpan.float32(at: $0) }
  }

  /// With error feedback, folds, and both, the model says nearly what it did.
  @Test(arguments: ["gptq", "awq", "awq+gptq"]) func calibratedModelsAreNear(method: String) throws
  {
    let source = Fixtures.path("models/gpt2")
    let report = try run(source, method, ["gptq", "awq"])
    #expect(report.layers.count == Conv1DModel.blocks * Conv1DModel.linears)
    #expect(report.fallbacks.isEmpty)
    #expect(report.outputs.allSatisfy { $0.layers.allSatisfy(\.isEqual) })
    let before = try Self.loss(source)
    for format in ["gptq", "awq"] {
      let after = try Self.loss(folder.path("out/" + format))
      #expect((after - before).magnitude < 0.1, "\(format): \(after), \(before)")
    }
  }

  /// Weights that AWQ folds scales into and leaves dense stay as they lie.
  @Test(arguments: ["attn.c_attn", "mlp.c_fc", "attn.c_proj"]) func foldedWeightsStayTurned(
    skipped: String
  ) throws {
    let source = Fixtures.path("models/gpt2")
    _ = try run(source, "awq") {
      $0.bits = 8
      $0.skipped = [try NamePattern(".*" + skipped, at: "the test")]
    }
    let made = try Checkpoint(opening: folder.path("out"))
    let original = try Checkpoint(opening: source)
    let name = "transformer.h.0.\(skipped).weight"
    #expect(try made.tensors[name]?.shape == #require(original.tensors[name]).shape)
    #expect(try (Self.loss(folder.path("out")) - Self.loss(source)).magnitude < 0.01)
  }

  /// A decoder that was saved by itself, as the first GPT-2 was: names come out as loaders of packed models look for
  /// them, and every number as that of the whole model.
  @Test(arguments: [
    ("gpt2", "transformer."), ("opt", "model.decoder."), ("llama-bias-tied", "model."),
  ])
  func namesAreCompleted(_ name: String, prefix: String) throws {
    let whole = try Checkpoint(opening: Fixtures.path("models/" + name))
    var model = Model()
    for tensor in whole.tensors.tensors {
      model.add(
        tensor.name.replacing(prefix, with: "", maxReplacements: 1), tensor.dtype,
        tensor.shape.dimensions, try Files.bytes(of: tensor))
    }
    model.config = try JSON.object(#require(whole.config.model).object).text()
    try model.write(to: folder.path("bare"))
    let formats = ["compressed-tensors"]
    _ = try run(whole.path, "awq", formats, to: "whole") { $0.groupSize = 8 }
    let report = try run(folder.path("bare"), "awq", formats, to: "out") { $0.groupSize = 8 }
    let (left, right) = (
      try Checkpoint(opening: folder.path("whole")), try Checkpoint(opening: folder.path("out"))
    )
    #expect(right.findings.isEmpty, "\(right.findings.map(\.failure))")
    #expect(try CheckpointComparison(left, right).isEqual)
    #expect(right.tensors.tensors.map(\.name) == left.tensors.tensors.map(\.name))
    #expect(report.plan.warnings.map(\.severity) == [.note])
    let bare = try Checkpoint(opening: folder.path("bare")).tensors.tensors.map(\.name)
    for fates in [report.outputs[0].fates, report.plan.forecasts[0].fates] {
      #expect(Set(fates.map(\.name)) == Set(bare))
      #expect(fates.allSatisfy { if case .converted = $0.fate { true } else { false } })
    }
  }

  /// A head that the embeddings stand for is not quantized, whatever lies beside.
  @Test func tiedHeadsAreRefused() throws {
    let source = try Checkpoint(opening: Fixtures.path("models/llama"))
    var config = try #require(source.config.model).object
    config["tie_word_embeddings"] = .bool(true)
    try Files.copy(source.path, to: folder.path("in"))
    try Files.write(JSON.object(config).text(), to: folder.path("in/config.json"))
    let failure = try #require(throws: Failure.self) {
      try run(folder.path("in"), "rtn") { $0.quantizesHead = true }
    }
    #expect(failure.kind == .usage && failure.expected == "tie_word_embeddings false")
    _ = try run(source.path, "rtn", ["compressed-tensors"]) { $0.quantizesHead = true }
  }

  /// Where nothing says what model it is, a weight that may lie either way is not guessed at.
  @Test func unnamedModelsAreRefused() throws {
    try Conv1DModel.write(to: folder.path("in"))
    try Files.write("{}", to: folder.path("in/config.json"))
    let failure = try #require(throws: Failure.self) { try run(folder.path("in"), "rtn") }
    #expect(failure.kind == .unsupported)
    #expect(failure.expected == "a config.json that names the model")
  }

  /// mlx-lm has names of its own; all other layouts are written without a word.
  @Test func namesOfAnotherRuntimeAreToldOf() throws {
    var model = Model()
    model.addDense("transformer.h.0.mlp.c_fc.weight", [64, 96])
    model.config = #"{"model_type": "gpt2"}"#
    try model.write(to: folder.path("in"))
    var quantization = try WeightQuantization(
      method: "rtn", formats: WeightQuantization.formatNames)
    quantization.groupSize = 32
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    let plan = try WeightPlan(Checkpoint(opening: folder.path("in")), quantization, options)
    #expect(plan.warnings.map(\.failure.rule) == ["MLXR-10"])
    let report = try plan.run(to: folder.path("out"))
    #expect(report.outputs.allSatisfy { $0.layers.allSatisfy(\.isEqual) })
    let first = try Checkpoint(opening: folder.path("out/gptq"))
    for format in WeightQuantization.formatNames {
      let other = try Checkpoint(opening: folder.path("out/" + format))
      #expect(try CheckpointComparison(first, other).isEqual, "\(format)")
      let back = try ConversionPlan(first, ConversionOptions(target: format))
      #expect(back.warnings.map(\.failure.rule) == (format == "mlx" ? ["MLXR-10"] : []))
    }
  }

  /// Weights of 16 bits are the same but for their rounding.
  @Test(arguments: [DType.f16, .bf16]) func narrowSources(type: DType) throws {
    try Conv1DModel.write(to: folder.path("in"), type: type)
    _ = try run(folder.path("in"), "gptq", ["gptq_v2"]) { $0.bits = 8 }
    let made = try Self.loss(folder.path("out"))
    #expect(try (made - Self.loss(folder.path("in"))).magnitude < 0.01)
  }
}
