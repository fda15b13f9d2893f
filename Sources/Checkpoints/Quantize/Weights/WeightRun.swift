internal import Codecs
internal import Containers
internal import Kernels
internal import Synchronization
public import TensorCore

/// What quantizing a checkpoint has shown about itself.
public struct WeightReport: Sendable {
  /// A report for each layout, in the order they were asked for.
  public let outputs: [ConversionReport]
  /// A record for each layer, in the order of blocks.
  public let layers: [LayerRecord]
  /// Blocks that an earlier run had left.
  public let resumedBlocks: Int
  public let plan: WeightPlan
  /// Seconds of each stage.
  public let seconds: [QuantizationStage: Double]

  /// Layers that were rounded to nearest though more was asked for.
  public var fallbacks: [LayerRecord] { layers.filter { $0.report.fallback != nil } }

  public var json: JSON {
    [
      "quantization": .object(plan.quantization.json),
      "calibration": plan.calibration.map(\.json) ?? .null,
      "seconds": seconds.json,
      "fallbacks": .strings(fallbacks.map(\.name)),
      "resumed_blocks": .integer(resumedBlocks),
      "kept_dense": .strings(plan.denseLayers),
      "layers": .array(layers.map { .object($0.json) }),
      "outputs": .array(outputs.map(\.json)),
    ]
  }
}

extension WeightPlan {
  /// What a run is doing.
  public enum Stage: Sendable { case quantizing, writing, proving }

  /// What a caller may be told while a run goes on, from any thread.
  public struct Observer: Sendable {
    /// Work done and in all.
    public var progress: @Sendable (_ stage: Stage, _ done: Int, _ total: Int) -> Void = {
      _, _, _ in
    }
    /// A layer that is done, in the order of blocks.
    public var layer: @Sendable (LayerRecord) -> Void = { _ in }

    public init() {}
  }

  /// Quantizes block by block, writes the layouts, reads them back and compares every number with those made,
  /// and only then gives them their names. Goes on with blocks that a run of the same plan left.
  ///
  /// Memory is that of a block. Throws `usage` where the output exists, `cannotRepresent` where a weight is
  /// not finite, `io`; after `io` the blocks that are done stay. `now` tells the seconds that are reported.
  public func run(
    to path: String, observer: Observer = Observer(), now: SecondsClock? = nil
  ) throws -> WeightReport {
    try checkOutputs(path)
    if let free = FileSystem.freeBytes(at: path) { try disk.check(free: free, at: path) }
    // A run that keeps its statistics needs them of all blocks.
    let goesOn = options.sync && savedStatistics == nil
    let files = try BlockFiles(
      for: path, fingerprint: goesOn ? fingerprint : nil, sync: options.sync)
    let clock = StageClock(now ?? StageClock.wall)
    do {
      let resumed = (0..<blockCount).count { files.holds($0) }
      try quantize(into: files, observer, clock)
      let reports = try pour(files, to: path, observer, clock)
      let records = try (0..<blockCount).flatMap { try BlockFiles.records(of: files.file($0)) }
      files.discard()
      return WeightReport(
        outputs: reports, layers: records, resumedBlocks: resumed, plan: self,
        seconds: clock.seconds)
    } catch let failure as Failure where failure.kind == .io && options.sync {
      throw failure
    } catch {
      files.discard()
      throw error
    }
  }

  private func checkOutputs(_ path: String) throws {
    for output in outputs(at: path) {
      try OutputGuard(source: source, output: output.path, force: options.force).check()
      guard FileSystem.kind(of: output.path) == nil || options.force else {
        throw Failure(
          .usage, at: output.path, "the output exists already",
          remedy: "choose another name, or replace it with --force")
      }
    }
    if quantization.formats.count > 1, FileSystem.kind(of: path) == nil {
      try FileSystem.makeFolder(path)
    }
  }

  private func quantize(
    into files: BlockFiles, _ observer: Observer, _ clock: StageClock
  ) throws {
    guard let calibration else {
      return try clock.measure(.codes) {
        try IndependentRun(plan: self, files: files, observer: observer).run()
      }
    }
    try CalibratedRun(self, calibration, files, observer, clock).quantize()
  }

  private func pour(
    _ files: BlockFiles, to path: String, _ observer: Observer, _ clock: StageClock
  ) throws -> [ConversionReport] {
    let quantized = try checkpoint(files, blocks: Array(0..<blockCount))
    let jobs = try outputs(at: path).map { output in
      var options = options
      options.target = .layout(output.codec)
      options.quantization = provenance
      return (plan: try ConversionPlan(quantized, options), path: output.path)
    }
    // Known before anything is written, so that a gap costs nothing.
    let fates = try jobs.map {
      names.restored(try SourceFate.traced($0.plan.fates, of: quantized, to: source))
    }
    let (start, now) = (clock.now(), clock.now)
    let proof = Mutex<Double?>(nil)
    var reports = try ConversionPlan.pour(jobs) { stage, done, total in
      if stage != .writing { proof.withLock { $0 = $0 ?? now() } }
      observer.progress(stage == .writing ? .writing : .proving, done, total)
    }
    let end = now()
    let middle = proof.withLock { $0 } ?? end
    clock.add(middle - start, to: .writing)
    clock.add(end - middle, to: .proving)
    for index in reports.indices { reports[index].fates = fates[index] }
    return reports
  }

  /// What decides the numbers: blocks of a run that was cut short may be gone on with only where it is
  /// the same.
  private var fingerprint: JSON {
    [
      "unfinished": "blocks of a quantization that was cut short; run it again to go on",
      "nibble": .string(Release.version), "processor": .string(Processor.Level.best.name),
      "source": Self.traces(of: source.tensors.files.map { ($0.source.path, $0.size) }),
      "statistics": statistics.map { Self.traces(of: $0.files) } ?? .null,
      "config": .object(source.config.model?.object ?? JSONObject()),
      "quantization": .object(provenance),
    ]
  }

  private static func traces(of files: [(path: String, bytes: Int)]) -> JSON {
    .array(
      files.map { file in
        [
          "name": .string(String(file.path.split(separator: "/").last ?? "")),
          "bytes": .integer(file.bytes),
          "modified": .integer(FileSystem.modificationTime(of: file.path) ?? 0),
        ]
      })
  }

  /// What manifests keep of how the numbers came to be.
  var provenance: JSONObject {
    var object = quantization.json
    object["calibration"] = calibration.map(\.json) ?? .null
    return object
  }

  /// What configs say of it in `meta`, in GPTQModel's words where it has them.
  var details: JSONObject {
    var details = JSONObject(["method": .string(quantization.method.rawValue)])
    details["mse"] = .real(quantization.norm)
    if quantization.isTernary { details["ternary"] = .bool(true) }
    if quantization.weightsRanges { details["weighted_ranges"] = .bool(true) }
    if let alpha = quantization.asymmetry { details["gptaq_alpha"] = .real(alpha) }
    if let calibration {
      details["calibration"] = [
        "sha256": .string(calibration.digest), "tokens": .integer(calibration.usedTokens),
        "windows": .integer(calibration.windows.count),
      ]
    }
    if quantization.hessianType != .f32 { details["hessian_dtype"] = "float64" }
    guard quantization.method.feedsBack else { return details }
    details["damp_percent"] = .real(quantization.dampPercent)
    details["damp_auto_increment"] = .real(quantization.dampIncrement)
    details["static_groups"] = .bool(quantization.staticGroups)
    details["compensate_ranges"] = .bool(quantization.compensatesRanges)
    details["true_sequential"] = .bool(quantization.trueSequential)
    details["act_group_aware"] = .bool(quantization.usesGroupAware)
    return details
  }
}

/// Makes blocks one after the other where none needs another: by rounding to nearest, or by statistics that
/// are given.
struct IndependentRun {
  let plan: WeightPlan
  let files: BlockFiles
  let observer: WeightPlan.Observer

  func run() throws {
    var done = 0
    for (index, block) in plan.modules.blocks.enumerated() {
      if files.holds(index) {
        for record in try BlockFiles.records(of: files.file(index)) { observer.layer(record) }
      } else {
        let made = try make(block)
        try files.write(
          index, layers: made.map(\.layer), changed: [], records: made.map(\.record))
        for layer in made { observer.layer(layer.record) }
      }
      done += block.count
      observer.progress(.quantizing, done, plan.layerCount)
    }
  }

  private func make(_ block: [QuantizedModules.Module]) throws -> [MadeLayer] {
    if let statistics = plan.statistics {
      return try StatisticsRun(plan: plan, statistics: statistics).make(block)
    }
    return try block.map { try plan.quantizer.round($0.matrix, $0) }
  }
}
