import Checkpoints
import Codecs
import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// Dense models quantized into the layouts of whole codes: every number read back, what can't be held
/// refused before anything is computed.
@Suite struct WeightQuantizationTests {
  let folder: TemporaryFolder
  let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    try TinyModel.write(to: source)
  }

  func plan(
    _ method: String, _ formats: [String], threads: Int = 2,
    _ change: (inout WeightQuantization) throws -> Void = { _ in }
  ) throws -> WeightPlan {
    var quantization = try WeightQuantization(method: method, formats: formats)
    quantization.groupSize = 32
    try change(&quantization)
    var options = ConversionOptions(target: .asIs)
    (options.sync, options.threads) = (false, threads)
    return try WeightPlan(Checkpoint(opening: source), quantization, options)
  }

  /// All layouts from one run hold the same numbers, and those are what rounding gives.
  @Test func everyLayoutHoldsWhatWasMade() throws {
    let formats = WeightQuantization.formatNames
    let report = try plan("rtn", formats).run(to: folder.path("out"))
    #expect(report.outputs.count == formats.count)
    #expect(report.layers.count == TinyModel.blocks * TinyModel.linears)
    let first = try Checkpoint(opening: folder.path("out/gptq"))
    for format in formats {
      let other = try Checkpoint(opening: folder.path("out/\(format)"))
      #expect(other.findings.isEmpty, "\(other.findings.map(\.failure))")
      let compared = try CheckpointComparison(first, other)
      #expect(compared.isEqual, "\(format)")
    }
    #expect(try FileSystem.names(in: folder.path) == ["in", "out"])
    let name = "model.layers.1.mlp.down_proj"
    let layer = try first.open(#require(first.layer(named: name)))
    let tensor = try #require(try Checkpoint(opening: source).tensors[name + ".weight"])
    let halves = try tensor.contents()
    let weight = Matrix(
      rows: 64, columns: 128,
      values: (0..<64 * 128).map { Float(Float16(bitPattern: halves.bytes.uint16(at: $0))) })
    let made = try RTN(UniformGrid(groupSize: 32)).quantize(weight, name: name)
    #expect(try QuantizedMatrix(layer).dequantized() == made.matrix.dequantized())
  }

  @Test(arguments: [2, 3, 4, 5, 8], [true, false])
  func everyWidth(bits: Int, symmetric: Bool) throws {
    let formats = [2, 3, 4, 8].contains(bits) ? ["gptq", "compressed-tensors"] : ["mlx"]
    let plan = try plan("rtn", formats) { ($0.bits, $0.symmetric) = (bits, symmetric) }
    let report = try plan.run(to: folder.path("out"))
    #expect(report.outputs.allSatisfy { $0.layers.allSatisfy(\.isEqual) })
    for forecast in zip(plan.forecasts, report.outputs) {
      #expect(forecast.0.byteCount < forecast.1.byteCount)
    }
  }

  /// The list names the tensors of the dense source, not those of the blocks in between.
  @Test func everySourceTensorIsAccountedFor() throws {
    let formats = ["gptq", "compressed-tensors", "mlx"]
    let plan = try plan("rtn", formats)
    let report = try plan.run(to: folder.path("out"))
    #expect(plan.forecasts.map(\.fates) == report.outputs.map(\.fates))
    let names = try Checkpoint(opening: source).tensors.tensors.map(\.name)
    for (format, output) in zip(formats, report.outputs) {
      #expect(output.fates.map(\.name) == names)
      var reached: Set<String> = []
      for fate in output.fates {
        switch fate.fate {
        case .copied: reached.insert(fate.name)
        case .converted(let names): reached.formUnion(names)
        case .dropped: Issue.record("\(fate.name) is dropped")
        }
      }
      let written = try Checkpoint(opening: folder.path("out/\(format)")).tensors.tensors
      #expect(reached == Set(written.map(\.name)), "\(format)")
    }
  }

  @Test func threadsChangeNothing() throws {
    for threads in [1, 2] {
      _ = try plan("rtn", ["gptq_v2"], threads: threads) { $0.mse = 2.4 }
        .run(to: folder.path("out\(threads)"))
    }
    #expect(
      try Files.contents(of: folder.path("out1")) == Files.contents(of: folder.path("out2")))
  }

  @Test func overridesAndSkipsHold() throws {
    let plan = try plan("rtn", ["gptq", "compressed-tensors"]) {
      $0.overrides = [try ModuleOverride(parsing: #".*down_proj:bits=8,group_size=16"#)]
      $0.skipped = [try NamePattern(#"model\.layers\.0\.self_attn"#, at: "--skip")]
      $0.quantizesHead = true
    }
    _ = try plan.run(to: folder.path("out"))
    for format in ["gptq", "compressed-tensors"] {
      let made = try Checkpoint(opening: folder.path("out/\(format)"))
      #expect(made.findings.isEmpty, "\(made.findings.map(\.failure))")
      let down = try #require(made.layer(named: "model.layers.2.mlp.down_proj"))
      #expect(down.bits == 8 && down.groupSize == 16)
      #expect(made.layer(named: "model.layers.0.self_attn.q_proj") == nil)
      #expect(made.layer(named: "lm_head")?.bits == 4)
    }
  }

  /// A zero point of 0 has no safe form in version 1: codes move up by one, and it is said.
  @Test func zeroPointsOfZeroMove() throws {
    var model = Model()
    let weights = (0..<32 * 32).flatMap { index -> [UInt8] in
      let half = Float16(Float(index % 7) / 8).bitPattern
      return [UInt8(truncatingIfNeeded: half), UInt8(half >> 8)]
    }
    model.add("model.layers.0.q_proj.weight", .f16, [32, 32], weights)
    model.config = "{}"
    let path = folder.path("positive")
    try model.write(to: path)
    var quantization = try WeightQuantization(method: "rtn", formats: ["gptq"])
    (quantization.groupSize, quantization.symmetric) = (32, false)
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    let report = try WeightPlan(Checkpoint(opening: path), quantization, options)
      .run(to: folder.path("out"))
    #expect(report.layers[0].note?.contains("32 zero points of 0 became 1") == true)
    let made = try Checkpoint(opening: folder.path("out"))
    let matrix = try QuantizedMatrix(made.open(made.layers[0]))
    #expect(matrix.zeros.allSatisfy { $0 == 1 })
  }

  /// What a layout can't hold, with nothing computed or written.
  @Test(arguments: [
    ("awq", 3, -1, "AWQ-1"), ("gptq", 5, 32, "GPTQ-3"), ("mlx", 4, 16, "MLX-10"),
    ("mlx", 7, 32, "MLX-3"),
  ])
  func isRefusedBefore(format: String, bits: Int, size: Int, rule: String) throws {
    let failure = #expect(throws: Failure.self) {
      try plan("rtn", ["gptq_v2", format].suffix(format == "gptq" ? 1 : 2)) {
        ($0.bits, $0.groupSize) = (bits, size)
        if bits == 7 { $0.formats.removeFirst() }
      }
    }
    #expect(failure?.kind == .cannotRepresent && failure?.rule == rule)
  }

  @Test func mixturesAreRefusedWhereTheConfigHasNoWords() throws {
    let failure = #expect(throws: Failure.self) {
      try plan("rtn", ["awq"]) {
        $0.overrides = [try ModuleOverride(parsing: ".*down_proj:group_size=16")]
      }
    }
    #expect(failure?.kind == .cannotRepresent && failure?.rule == "AWQ-11")
  }

  @Test func contradictionsAreRefused() throws {
    let wrong: [(inout WeightQuantization) throws -> Void] = [
      { $0.bits = 9 }, { $0.groupSize = 12 }, { $0.groupSize = 0 }, { $0.actOrder = true },
      { $0.isTernary = true }, { ($0.isTernary, $0.bits, $0.symmetric) = (true, 2, false) },
      { ($0.weightsRanges, $0.mse) = (true, 0) }, { $0.asymmetry = 0.25 },
      { $0.mse = 0.5 }, { $0.dampPercent = 0 }, { $0.scaleType = .f64 },
      { $0.overrides = [try ModuleOverride(parsing: "nothing:bits=8")] },
      { $0.skipped = [try NamePattern("nothing", at: "--skip")] },
      { $0.overrides = [try ModuleOverride(parsing: "x:bits=four")] },
      { $0.overrides = [try ModuleOverride(parsing: "no settings")] },
    ]
    for change in wrong {
      let failure = #expect(throws: Failure.self) { try plan("rtn", ["gptq"], change) }
      #expect(failure?.kind == .usage)
    }
    for (method, formats) in [
      ("rtm", ["gptq"]), ("rtn", []), ("rtn", ["nf4"]), ("rtn", ["awq", "awq"]),
    ] {
      let failure = #expect(throws: Failure.self) { try plan(method, formats) }
      #expect(failure?.kind == .usage)
    }
    #expect(throws: Failure.self) { try plan("gptq", ["gptq"]) }
  }
}
