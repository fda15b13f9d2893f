import Checkpoints
import Codecs
import Kernels
import Synchronization
import TensorCore
import TestKit
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Models quantized block by block on calibration windows: the same bytes for any number of threads, in memory
/// or with hidden states on disk, and after a run that was killed.
@Suite struct CalibratedTests {
  private let folder: TemporaryFolder
  private let source: String

  init() throws {
    folder = try TemporaryFolder()
    source = folder.path("in")
    try TinyModel.write(to: source)
  }

  fileprivate static func plan(
    _ source: String, _ formats: [String], method: String = "gptq", threads: Int = 2,
    sync: Bool = false, maxMemory: Int? = nil,
    _ change: (inout WeightQuantization) throws -> Void = { _ in }
  ) throws -> WeightPlan {
    var quantization = try WeightQuantization(method: method, formats: formats)
    quantization.groupSize = 32
    try change(&quantization)
    var options = ConversionOptions(target: .asIs)
    (options.sync, options.threads) = (sync, threads)
    return try WeightPlan(
      Checkpoint(opening: source), quantization, options, calibration: calibration(),
      maxMemory: maxMemory)
  }

  /// Six windows of 32 tokens and one of 20.
  private static func calibration() throws -> Calibration {
    var random = SplitMix64(seed: 11)
    let documents = [32, 32, 32, 32, 32, 32, 20].map { count in
      CalibrationDocument(
        ids: (0..<count).map { _ in
          Int32.random(in: 0..<Int32(TinyModel.vocabulary), using: &random)
        }, isText: false)
    }
    return try Calibration(
      documents, from: ["drawn"], Calibration.Options(), vocabulary: TinyModel.vocabulary)
  }

  private func files(_ name: String) throws -> [String: [UInt8]] {
    try Files.contents(of: folder.path(name))
  }

  @Test func everyLayoutFromOneRun() throws {
    let formats = WeightQuantization.formatNames
    let report = try Self.plan(source, formats).run(to: folder.path("out"))
    #expect(report.layers.count == TinyModel.blocks * TinyModel.linears)
    for layer in report.layers {
      #expect(layer.method == "gptq" && layer.report.tokens == 212)
      let error = try #require(layer.report.outputError)
      #expect(error > 0 && error < 0.5)
    }
    let first = try Checkpoint(opening: folder.path("out/gptq"))
    for format in formats {
      let other = try Checkpoint(opening: folder.path("out/\(format)"))
      #expect(other.findings.isEmpty, "\(other.findings.map(\.failure))")
      #expect(try CheckpointComparison(first, other).isEqual, "\(format)")
    }
    let meta = first.config.model?.object["quantization_config"]?["meta"]
    #expect(meta?["damp_percent"]?.double == 0.05)
    #expect(meta?["calibration"]?["sha256"]?.string?.utf8.count == 64)
  }

  /// Error feedback loses less of the outputs than rounding does, by the same Hessians.
  @Test func feedbackIsBetterThanRounding() throws {
    let made = try Self.plan(source, ["gptq"]) { $0.bits = 3 }.run(to: folder.path("gptq"))
    let plain = try Self.plan(source, ["gptq"]) { asked in
      asked.bits = 3
      asked.dampPercent = 0.999
    }.run(to: folder.path("rtn"))
    func sum(_ report: WeightReport) -> Double {
      report.layers.reduce(0) { $0 + ($1.report.outputError ?? 0) }
    }
    #expect(sum(made) < sum(plain))
  }

  @Test func threadsAndDiskChangeNothing() throws {
    _ = try Self.plan(source, ["gptq_v2"], threads: 1).run(to: folder.path("one"))
    _ = try Self.plan(source, ["gptq_v2"], threads: 3).run(to: folder.path("three"))
    let least = try Self.plan(source, ["gptq_v2"]).memory.least
    let small = try Self.plan(source, ["gptq_v2"], maxMemory: least + 1)
    #expect(small.spills)
    _ = try small.run(to: folder.path("spilled"))
    #expect(try files("one") == files("three"))
    #expect(try files("one") == files("spilled"))
    let failure = #expect(throws: Failure.self) {
      try Self.plan(source, ["gptq_v2"], maxMemory: least - 1)
    }
    #expect(failure?.expected == "at least \(least) bytes" && failure?.found == "\(least - 1)")
  }

  /// Half of the memory for hidden states, and nearly the same codes.
  @Test func hiddenStatesInHalfOfTheMemory() throws {
    let wide = try Self.plan(source, ["gptq_v2"])
    let narrow = try Self.plan(source, ["gptq_v2"]) { $0.hiddenType = .bf16 }
    #expect(narrow.memory.hiddenStates * 2 == wide.memory.hiddenStates)
    let one = try wide.run(to: folder.path("wide"))
    let other = try narrow.run(to: folder.path("narrow"))
    for (left, right) in zip(one.layers, other.layers) {
      let (a, b) = (try #require(left.report.outputError), try #require(right.report.outputError))
      #expect((a - b).magnitude < 0.1 * a)
    }
    let spilled = try Self.plan(source, ["gptq_v2"], maxMemory: narrow.memory.least + 1) {
      $0.hiddenType = .bf16
    }
    _ = try spilled.run(to: folder.path("spilled"))
    #expect(try files("narrow") == files("spilled"))
    #expect(try files("narrow") != files("wide"))
    let failure = #expect(throws: Failure.self) {
      try Self.plan(source, ["gptq"]) { $0.hiddenType = .f16 }
    }
    #expect(failure?.kind == .usage)
  }

  /// Second moments in f64: the same for any number of threads, nearly those of f32, and predicted as larger.
  @Test func secondMomentsInF64() throws {
    let wide = try Self.plan(source, ["gptq_v2"], threads: 1) { $0.hessianType = .f64 }
    let plain = try Self.plan(source, ["gptq_v2"])
    #expect(wide.memory.hessian > plain.memory.hessian)
    #expect(wide.memory.otherHessians == 2 * plain.memory.otherHessians)
    #expect(wide.arithmetic.hessianPrecision == .double)
    let one = try wide.run(to: folder.path("one"))
    _ = try Self.plan(source, ["gptq_v2"], threads: 3) { $0.hessianType = .f64 }
      .run(to: folder.path("three"))
    #expect(try files("one") == files("three"))
    for (left, right) in zip(one.layers, try plain.run(to: folder.path("plain")).layers) {
      let (a, b) = (try #require(left.report.loss), try #require(right.report.loss))
      #expect(a != b && (a - b).magnitude < 1e-3 * a)
    }
    let meta = try Checkpoint(opening: folder.path("one")).config.model?
      .object["quantization_config"]?["meta"]
    #expect(meta?["hessian_dtype"]?.string == "float64")
    for method in ["rtn", "awq"] {
      let failure = #expect(throws: Failure.self) {
        try Self.plan(source, ["gptq"], method: method) { $0.hessianType = .f64 }
      }
      #expect(failure?.kind == .usage && failure?.place == "--hessian-dtype")
    }
  }

  /// What is predicted is counted from shapes: more text takes more of all but what a block needs.
  @Test func forecastsCount() throws {
    let plan = try Self.plan(source, ["gptq_v2"])
    #expect(plan.memory.hiddenStates == 212 * 64 * 4)
    #expect(plan.memory.total >= plan.memory.least + plan.memory.hiddenStates)
    // 212 tokens through 3 blocks, once: 2 operations for each weight.
    let weights = TinyModel.blocks * (64 * 64 * 2 + 32 * 64 * 2 + 3 * 128 * 64)
    #expect(plan.leastArithmetic.products == Double(212 * 2 * weights))
    #expect(plan.arithmetic.products == plan.leastArithmetic.products)
    #expect(plan.arithmetic.hessians == Double(212 * TinyModel.blocks * (3 * 64 * 64 + 128 * 128)))
    let twice = try Self.plan(source, ["gptq_v2"]) { $0.trueSequential = false }
    #expect(twice.arithmetic.products > plan.arithmetic.products)
    let searched = try Self.plan(source, ["gptq_v2"], method: "awq")
    #expect(searched.arithmetic.search > 20 * searched.leastArithmetic.products / 2)
    #expect(searched.memory.search > 0 && plan.memory.search == 0)
    #expect(plan.disk.total > plan.disk.outputs && plan.disk.states == 0)
    let small = try Self.plan(source, ["gptq_v2"], maxMemory: plan.memory.least + 1)
    #expect(small.disk.states == plan.memory.hiddenStates)
    let failure = #expect(throws: Failure.self) {
      try small.disk.check(free: small.disk.total - 1, at: "disk")
    }
    #expect(failure?.kind == .io && failure?.found == "\(small.disk.total - 1)")
    try small.disk.check(free: small.disk.total, at: "disk")
  }

  /// Orders and zero points of some layers only, where configs say so of each layer.
  @Test func ordersAndZeroPointsByModule() throws {
    let order = try ModuleOverride(parsing: ".*o_proj:desc_act=true")
    let zeros = try ModuleOverride(parsing: ".*down_proj:sym=false")
    let formats = ["gptq", "gptq_v2", "compressed-tensors"]
    _ = try Self.plan(source, formats) { $0.overrides = [order, zeros] }.run(to: folder.path("out"))
    for format in formats {
      let made = try Checkpoint(opening: folder.path("out/\(format)"))
      #expect(made.findings.isEmpty, "\(made.findings.map(\.failure))")
      for layer in made.layers {
        let opened = try made.open(layer)
        let isOrdered = layer.name.hasSuffix("o_proj")
        #expect(opened.form.grouping.isPermuted == isOrdered, "\(format) \(layer.name)")
        let settings = made.config.scheme?.rules().settings(for: layer.name)
        #expect(settings?.actOrder == isOrdered, "\(format) \(layer.name)")
        #expect(
          settings?.symmetric == !layer.name.hasSuffix("down_proj"), "\(format) \(layer.name)")
      }
    }
    for format in ["awq", "awq_gemv", "mlx"] {
      let failure = #expect(throws: Failure.self) {
        try Self.plan(source, ["gptq", format]) { $0.overrides = [order] }
      }
      #expect(failure?.kind == .cannotRepresent)
      #expect(failure?.reasons.map(\.names.count) == [TinyModel.blocks])
      #expect(failure?.remedy?.contains("--act-group-aware") == true)
      _ = try Self.plan(source, [format]) { $0.overrides = [zeros] }
    }
    // The other way round: all but some in order.
    let plain = try ModuleOverride(parsing: ".*_proj:desc_act=false")
    _ = try Self.plan(source, ["awq"]) { ($0.actOrder, $0.overrides) = (true, [plain]) }
    let clashes: [(inout WeightQuantization) -> Void] = [
      { ($0.groupAware, $0.overrides) = (true, [order]) },
      { ($0.method, $0.overrides) = (.awq, [order]) },
    ]
    for clash in clashes {
      let failure = #expect(throws: Failure.self) { try Self.plan(source, ["gptq"], clash) }
      #expect(failure?.kind == .usage)
    }
  }

  /// Calibration text is read only once every layout is known to hold what is asked for.
  @Test func refusedBeforeTextIsRead() throws {
    var quantization = try WeightQuantization(method: "gptq", formats: ["awq"])
    (quantization.bits, quantization.groupSize) = (3, 32)
    let wasRead = Mutex(false)
    let failure = #expect(throws: Failure.self) {
      try WeightPlan(
        Checkpoint(opening: source), quantization, ConversionOptions(target: .asIs),
        calibration: {
          wasRead.withLock { $0 = true }
          return try Self.calibration()
        }())
    }
    #expect(failure?.rule == "AWQ-1" && !wasRead.withLock { $0 })
    #expect(failure?.remedy?.contains("--format gptq or gptq_v2") == true)
  }

  /// Columns in order of their activations keep a real `g_idx`, which AWQ and MLX have no place for.
  @Test func actOrderIsHeldOrRefused() throws {
    let report = try Self.plan(source, ["gptq", "compressed-tensors"]) { $0.actOrder = true }
      .run(to: folder.path("out"))
    #expect(report.outputs.allSatisfy { $0.layers.allSatisfy(\.isEqual) })
    let made = try Checkpoint(opening: folder.path("out/gptq"))
    let layer = try made.open(#require(made.layer(named: "model.layers.0.self_attn.q_proj")))
    #expect(layer.form.grouping.isPermuted)
    for format in ["awq", "mlx"] {
      let failure = #expect(throws: Failure.self) {
        try Self.plan(source, ["gptq", format]) { $0.actOrder = true }
      }
      #expect(failure?.kind == .cannotRepresent)
      _ = try Self.plan(source, [format]) { ($0.actOrder, $0.staticGroups) = (true, true) }
        .run(to: folder.path("static-\(format)"))
    }
  }

  @Test func optionsOfTheLoop() throws {
    let changes: [(inout WeightQuantization) -> Void] = [
      { $0.trueSequential = false }, { $0.groupAware = false }, { $0.mse = 2.4 },
      { $0.symmetric = false }, { $0.quantizesHead = true }, { $0.groupSize = -1 },
    ]
    for (index, change) in changes.enumerated() {
      let report = try Self.plan(source, ["gptq_v2"], change).run(to: folder.path("\(index)"))
      #expect(report.layers.allSatisfy { $0.report.fallback == nil })
      #expect(report.outputs[0].layers.allSatisfy { $0.isEqual })
    }
  }

  /// Three values around the zero point of all symmetric layers of 2 bits, whatever the layout.
  @Test(arguments: ["rtn", "gptq"]) func ternaryCodesFitEveryLayoutOfTwoBits(method: String) throws
  {
    let formats = ["gptq", "gptq_v2", "compressed-tensors", "mlx"]
    var quantization = try WeightQuantization(method: method, formats: formats)
    (quantization.bits, quantization.groupSize, quantization.isTernary) = (2, 32, true)
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    _ = try WeightPlan(
      Checkpoint(opening: source), quantization, options,
      calibration: method == "gptq" ? Self.calibration() : nil
    ).run(to: folder.path("out"))
    let first = try Checkpoint(opening: folder.path("out/gptq"))
    for format in formats {
      let other = try Checkpoint(opening: folder.path("out/\(format)"))
      #expect(other.findings.isEmpty, "\(other.findings.map(\.failure))")
      #expect(try CheckpointComparison(first, other).isEqual, "\(format)")
    }
    let matrix = try QuantizedMatrix(first.open(first.layers[0]))
    #expect(Set(matrix.codes) == [1, 2, 3] && Set(matrix.zeros) == [2])
  }

  /// The unquantized model runs beside: threads, disk and a run that goes on change nothing, the codes do.
  @Test func answeringForChangedInputs() throws {
    func run(_ name: String, threads: Int = 2, maxMemory: Int? = nil, alpha: Double? = 0.25) throws
    {
      let plan = try Self.plan(source, ["gptq_v2"], threads: threads, maxMemory: maxMemory) {
        ($0.asymmetry, $0.quantizesHead) = (alpha, true)
      }
      #expect(plan.spills == (maxMemory != nil))
      _ = try plan.run(to: folder.path(name))
    }
    try run("one", threads: 1)
    try run("three", threads: 3)
    try run(
      "spilled",
      maxMemory: Self.plan(source, ["gptq_v2"]) {
        ($0.asymmetry, $0.quantizesHead) = (0.25, true)
      }.memory.least + 1)
    try run("plain", alpha: nil)
    #expect(try files("one") == files("three"))
    #expect(try files("one") == files("spilled"))
    #expect(try files("one") != files("plain"))
  }

  /// Ranges that count errors by the inputs need calibration even without error feedback.
  @Test func weightedRangesAreCalibrated() throws {
    let report = try Self.plan(source, ["gptq_v2"], method: "rtn") {
      ($0.weightsRanges, $0.mse, $0.bits) = (true, 2.4, 3)
    }.run(to: folder.path("weighted"))
    #expect(report.layers.allSatisfy { $0.method == "rtn" && $0.report.fallback == nil })
    _ = try Self.plan(source, ["gptq_v2"]) {
      ($0.weightsRanges, $0.mse, $0.bits) = (true, 2.4, 3)
    }.run(to: folder.path("fed"))
    let weighted = try Checkpoint(opening: folder.path("weighted"))
    var plain = try WeightQuantization(method: "rtn", formats: ["gptq_v2"])
    (plain.mse, plain.bits, plain.groupSize) = (2.4, 3, 32)
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    _ = try WeightPlan(Checkpoint(opening: source), plain, options).run(to: folder.path("plain"))
    #expect(
      try !CheckpointComparison(weighted, Checkpoint(opening: folder.path("plain"))).isEqual)
  }

  /// AWQ's folds are in the norms and the weights alike, whatever the layout and the number of threads.
  @Test(arguments: ["awq", "awq+gptq"]) func foldsAreWritten(method: String) throws {
    let formats = ["gptq_v2", "mlx"]
    let plan = try Self.plan(source, formats, method: method, threads: 1)
    let report = try plan.run(to: folder.path("one"))
    for (forecast, output) in zip(plan.forecasts, report.outputs) {
      for (planned, done) in zip(forecast.fates, output.fates) {
        let mayBeFolded = planned.fate == .converted(into: [planned.name])
        #expect(planned == done || mayBeFolded && done.fate == .copied, "\(planned.name)")
      }
    }
    _ = try Self.plan(source, formats, method: method, threads: 3).run(to: folder.path("three"))
    #expect(try files("one") == files("three"))
    #expect(report.layers.allSatisfy { $0.method == (method == "awq" ? "awq" : "gptq") })
    #expect(report.outputs.allSatisfy { $0.layers.allSatisfy(\.isEqual) })
    let dense = try Checkpoint(opening: source)
    let made = try Checkpoint(opening: folder.path("one/mlx"))
    var changed = 0
    for norm in dense.tensors.tensors where norm.name.contains("layernorm") {
      let other = try #require(made.tensors[norm.name])
      let bytes = try other.source.contents(other.offset..<other.offset + other.byteCount)
      let before = try norm.source.contents(norm.offset..<norm.offset + norm.byteCount)
      guard bytes != before else { continue }
      changed += 1
      let fate = report.outputs[1].fates.first { $0.name == norm.name }
      #expect(fate?.fate == .converted(into: [norm.name]))
    }
    #expect(changed > 0)
  }

  /// AWQ's search over some windows at a time, from memory or a file, whatever the type they are kept in.
  @Test(arguments: [("awq", DType.f32), ("awq+gptq", .f32), ("awq", .bf16)])
  func searchesStream(method: String, type: DType) throws {
    func plan(threads: Int = 2, maxMemory: Int? = nil) throws -> WeightPlan {
      try Self.plan(source, ["gptq_v2"], method: method, threads: threads, maxMemory: maxMemory) {
        $0.hiddenType = type
      }
    }
    let whole = try plan()
    #expect(whole.memory.searchInputs > 0 && !whole.spills)
    let small = try plan(threads: 3, maxMemory: plan(threads: 3).memory.least)
    #expect(small.spills && small.arithmetic.search >= whole.arithmetic.search)
    _ = try whole.run(to: folder.path("whole"))
    _ = try small.run(to: folder.path("small"))
    #expect(try files("whole") == files("small"))
  }

  /// The process kills itself when so many layers are done.
  @Test(arguments: [(1, nil), (8, nil), (20, nil), (8, 0.25)] as [(Int, Double?)])
  func killedRunIsGoneOnWith(layers: Int, gptaq: Double?) async throws {
    _ = try Self.plan(source, ["gptq", "mlx"], sync: true) { $0.asymmetry = gptaq }
      .run(to: folder.path("whole"))
    let output = folder.path("out")
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [source = source as String, output = output as String, layers, gptaq = gptaq as Double?] in
      let seen = LayerCount()
      var observer = WeightPlan.Observer()
      observer.layer = { _ in
        if seen.next() == layers { raise(SIGKILL) }
      }
      _ = try CalibratedTests.plan(source, ["gptq", "mlx"], sync: true) { $0.asymmetry = gptaq }
        .run(to: output, observer: observer)
    }
    #expect(FileSystem.kind(of: output + "/gptq") == nil)
    let report = try Self.plan(source, ["gptq", "mlx"], sync: true) { $0.asymmetry = gptaq }
      .run(to: output)
    #expect(report.resumedBlocks == (layers + TinyModel.linears - 1) / TinyModel.linears)
    #expect(try files("out") == files("whole"))
    #expect(try folder.names() == ["in", "out", "whole"])
  }

  /// Activations that grow beyond all numbers are named by their block.
  @Test func infiniteActivationsAreNamed() throws {
    var model = Model()
    for tensor in try Checkpoint(opening: source).tensors.tensors {
      let range = tensor.offset..<tensor.offset + tensor.byteCount
      var bytes = try tensor.source.contents(range)
      if tensor.name == "model.layers.1.mlp.down_proj.weight" {
        (bytes[0], bytes[1]) = (0x00, 0x7C)
      }
      model.add(tensor.name, tensor.dtype, tensor.shape.dimensions, bytes)
    }
    model.config = TinyModel.config
    let path = folder.path("infinite")
    try model.write(to: path)
    let failure = #expect(throws: Failure.self) {
      try Self.plan(path, ["gptq"]).run(to: folder.path("out"))
    }
    #expect(failure?.description.contains("model.layers.1") == true)
    #expect(FileSystem.kind(of: folder.path("out")) == nil)
  }
}

/// Counts layers from any thread.
private final class LayerCount: Sendable {
  private let count = Mutex(0)

  func next() -> Int {
    count.withLock { count in
      count += 1
      return count
    }
  }
}
