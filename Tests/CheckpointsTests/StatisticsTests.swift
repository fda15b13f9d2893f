import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Layers quantized from given second moments: what a run has saved gives the codes of that run again, and files that
/// are none are refused.
@Suite struct StatisticsTests {
  private let folder: TemporaryFolder
  private let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    try TinyModel.write(to: source)
  }

  private func plan(
    statistics: String? = nil, saving: String? = nil,
    _ change: (inout WeightQuantization) -> Void = { _ in }
  ) throws -> WeightPlan {
    var quantization = try WeightQuantization(method: "gptq", formats: ["gptq_v2"])
    quantization.groupSize = 32
    change(&quantization)
    var options = ConversionOptions(target: .asIs)
    (options.sync, options.threads) = (false, 2)
    let windows = (0..<5).map { window in
      CalibrationDocument(
        ids: (0..<32).map { Int32((window * 32 + $0) * 11 % TinyModel.vocabulary) }, isText: false)
    }
    let calibration =
      statistics != nil
      ? nil
      : try Calibration(
        windows, from: ["drawn"], Calibration.Options(), vocabulary: TinyModel.vocabulary)
    return try WeightPlan(
      Checkpoint(opening: source), quantization, options, calibration: calibration,
      statistics: statistics.map { try LayerStatistics(path: $0) }, savingStatistics: saving)
  }

  /// Each Hessian was taken behind the quantized layers before, and is used as it is.
  @Test func savedStatisticsGiveTheSameCodes() throws {
    let file = folder.path("moments.safetensors")
    let run = try plan(saving: file) { $0.quantizesHead = true }.run(to: folder.path("run"))
    let again = try plan(statistics: file) { $0.quantizesHead = true }.run(to: folder.path("again"))
    #expect(run.layers.count == again.layers.count)
    for (one, other) in zip(run.layers, again.layers) {
      #expect(one.name == other.name && one.report.loss == other.report.loss)
      #expect(one.report.tokens == 160 && other.report.tokens == 160)
    }
    #expect(
      try CheckpointComparison(
        Checkpoint(opening: folder.path("run")), Checkpoint(opening: folder.path("again"))
      ).isEqual)
  }

  /// Hessians that were summed in f64 are kept so, and give the same codes; in f32 they serve as well.
  @Test func momentsInF64AreKept() throws {
    let file = folder.path("moments.safetensors")
    let run = try plan(saving: file) { $0.hessianType = .f64 }.run(to: folder.path("run"))
    let again = try plan(statistics: file) { $0.hessianType = .f64 }.run(to: folder.path("again"))
    let narrow = try plan(statistics: file).run(to: folder.path("narrow"))
    #expect(run.layers.map(\.report.loss) == again.layers.map(\.report.loss))
    #expect(run.layers.map(\.report.loss) != narrow.layers.map(\.report.loss))
    #expect(narrow.fallbacks.isEmpty)
    #expect(
      try CheckpointComparison(
        Checkpoint(opening: folder.path("run")), Checkpoint(opening: folder.path("again"))
      ).isEqual)
  }

  @Test func runsWithoutSecondMomentsSaveNone() throws {
    let failure = #expect(throws: Failure.self) {
      try plan(saving: folder.path("x")) { $0.method = .awq }
    }
    #expect(failure?.kind == .usage)
  }

  private static let layer = "model.layers.0.mlp.up_proj"

  /// Second moments of one layer of 64 inputs.
  private func file(_ values: [Float], _ dimensions: [Int] = [64, 64]) throws -> String {
    var model = Model()
    model.add(Self.layer + ".hessian", .f32, dimensions, values.flatMap(\.littleEndianBytes))
    try model.write(to: folder.path("given"))
    return folder.path("given/model.safetensors")
  }

  private func moments(_ value: (_ row: Int, _ column: Int) -> Float) -> [Float] {
    (0..<64 * 64).map { value($0 / 64, $0 % 64) }
  }

  @Test func oneLayerIsQuantizedByThem() throws {
    let given = try file(moments { $0 == $1 ? 2 : 1 })
    let report = try plan(statistics: given).run(to: folder.path("out"))
    let made = report.layers.filter { $0.report.fallback == nil }
    #expect(made.map(\.name) == [Self.layer] && made[0].method == "gptq")
    #expect(report.fallbacks.count == TinyModel.blocks * TinyModel.linears - 1)
  }

  @Test func otherFilesAreRefused() throws {
    let wrong: [(values: [Float], dimensions: [Int], reason: String)] = [
      (moments { $0 == $1 ? 2 : 1 }.dropLast(64) + [], [63, 64], "another layer"),
      (moments { $0 == 3 && $1 == 5 ? .nan : $0 == $1 ? 2 : 1 }, [64, 64], "not finite"),
      (moments { $0 == $1 ? .infinity : 1 }, [64, 64], "not finite"),
      (moments { $0 == $1 ? 2 : $0 < $1 ? 1 : 0.5 }, [64, 64], "not symmetric"),
    ]
    for (values, dimensions, reason) in wrong {
      let given = try file(values, dimensions)
      let failure = #expect(throws: Failure.self) {
        try plan(statistics: given).run(to: folder.path("out"))
      }
      #expect(failure?.kind == .malformed && failure?.what.contains(reason) == true)
      #expect(failure?.description.contains(Self.layer) == true)
      try FileSystem.removeFolder(folder.path("given"))
    }
  }

  /// No damping makes these positive: the layer is rounded to nearest and listed, or with `strict` the run ends.
  @Test func momentsThatStayIndefiniteFallBack() throws {
    let given = try file(moments { $0 == $1 ? 1 : 100 })
    let report = try plan(statistics: given).run(to: folder.path("out"))
    let layer = try #require(report.fallbacks.first { $0.name == Self.layer })
    #expect(layer.method == "rtn" && layer.report.fallback?.contains("not positive") == true)
    let others = try ["model.layers.[12]", "model.layers.0.self_attn", ".*(gate|down)_proj"].map {
      try NamePattern($0, at: "--skip")
    }
    let failure = #expect(throws: Failure.self) {
      try plan(statistics: given) { ($0.strict, $0.skipped) = (true, others) }
        .run(to: folder.path("strict-out"))
    }
    #expect(failure?.kind == .cannotRepresent && failure?.place == Self.layer)
  }
}

extension Float {
  fileprivate var littleEndianBytes: [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: bitPattern >> (8 * $0)) }
  }
}
