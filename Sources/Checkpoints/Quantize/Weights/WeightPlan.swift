public import Codecs
internal import Containers
internal import Kernels
internal import Models
public import TensorCore

/// The quantization of a dense checkpoint as a value: layers, settings and layouts, all checked before anything
/// is computed. It can be shown, encoded as JSON, and run.
public struct WeightPlan: Sendable {
  /// What is quantized, its tensors under the names of the whole model.
  public let source: Checkpoint
  public let quantization: WeightQuantization
  /// Threads, flushing, sizes of files and the like; its target counts for nothing.
  public let options: ConversionOptions
  /// What is known of each layout.
  public let forecasts: [FormatForecast]
  /// What the model is run on; nil where it isn't.
  public let calibration: Calibration?
  /// What is known of the layers' inputs without running the model.
  public let statistics: LayerStatistics?
  /// Bytes of memory a calibrated run may take; nil: no limit.
  public let maxMemory: Int?
  /// What a calibrated run holds; nothing where no model is run.
  public let memory: MemoryForecast
  /// How much a calibrated run computes; nothing where no model is run.
  public let arithmetic: ArithmeticForecast
  /// The same with every window once through every layer.
  public let leastArithmetic: ArithmeticForecast
  /// Bytes of the disk that the outputs take, and what lies beside them until they are proven.
  public let disk: DiskForecast
  /// A file for the second moments that a calibrated run takes; nil: none.
  public let savedStatistics: String?
  let modules: QuantizedModules
  let names: CompletedNames

  /// Reads headers only, and `calibration` once all layouts are known to hold what is asked for. Throws `usage`,
  /// `unsupported`, and `cannotRepresent` where a layout can't.
  public init(
    _ source: Checkpoint, _ quantization: WeightQuantization, _ options: ConversionOptions,
    calibration: @autoclosure () throws -> Calibration? = nil, statistics: LayerStatistics? = nil,
    maxMemory: Int? = nil,
    savingStatistics savedStatistics: String? = nil
  ) throws {
    try quantization.check()
    try SourceCheck.checkDense(source)
    try Self.check(statistics, quantization)
    if savedStatistics != nil, statistics != nil || !quantization.method.feedsBack {
      throw Failure(
        .usage, at: "--save-statistics", "second moments are taken of calibration text by gptq",
        expected: "--method gptq with calibration",
        found: statistics == nil ? quantization.method.rawValue : "--statistics")
    }
    self.savedStatistics = savedStatistics
    names = try CompletedNames(source)
    let (names, source) = (names, names.source)
    self.source = source
    self.quantization = quantization
    self.options = options
    let modules = try QuantizedModules(
      of: source, quantization, known: statistics?.modules ?? [])
    self.modules = modules
    var statistics = statistics
    statistics?.match(modules.modules)
    try Self.check(statistics, modules, quantization)
    self.statistics = statistics
    let planned = try PlannedFates(source, modules, quantization)
    forecasts = try quantization.formats.map {
      var forecast = try FormatForecast($0, modules, quantization, of: source, planned, options)
      forecast.fates = names.restored(forecast.fates)
      return forecast
    }
    let calibration = try calibration()
    try Self.check(calibration, statistics, quantization)
    self.calibration = calibration
    self.maxMemory = maxMemory
    (memory, arithmetic, leastArithmetic) = try Self.forecasts(
      source, modules, quantization, calibration, threads: options.threads, limit: maxMemory)
    disk = DiskForecast(
      source, modules, forecasts, states: memory.spills ? memory.hiddenStates : 0)
  }

  /// What a calibrated run takes. Throws `unsupported` for a model that can't be run, `usage` where it needs more
  /// memory than it may take.
  private static func forecasts(
    _ source: Checkpoint, _ modules: QuantizedModules, _ quantization: WeightQuantization,
    _ calibration: Calibration?, threads: Int, limit: Int?
  ) throws -> (MemoryForecast, ArithmeticForecast, least: ArithmeticForecast) {
    guard let calibration else { return (.none, .none, .none) }
    let blueprint = try Self.blueprint(of: source)
    if quantization.asymmetry != nil, blueprint.blocks.contains(where: \.hasExperts) {
      throw Failure(
        .unsupported, at: "--gptaq", "experts may get other tokens than in the unquantized model",
        expected: "a model without experts", found: source.config.model?.name)
    }
    let memory = MemoryForecast(
      source, blueprint, modules, quantization, calibration, threads: threads, limit: limit)
    if let limit, memory.least > limit {
      throw Failure(
        .usage, at: "--max-memory", "the run does not fit",
        expected: "at least \(memory.least) bytes", found: "\(limit)",
        remedy: memory.search > 0
          ? "more memory, or less calibration text (--num-samples, --seq-len)"
          : "more memory, or shorter windows (--seq-len)")
    }
    func arithmetic(_ room: Int?) -> ArithmeticForecast {
      ArithmeticForecast(blueprint, modules, quantization, calibration, room: room)
    }
    return (memory, arithmetic(memory.inputRoom), arithmetic(nil))
  }

  /// What is run. Throws `unsupported` for a model that can't be.
  private static func blueprint(of source: Checkpoint) throws -> Blueprint {
    do {
      return try source.blueprint()
    } catch var failure as Failure where failure.kind == .unsupported {
      failure.remedy =
        failure.remedy ?? "--method rtn runs no model, and neither does gptq with --statistics"
      throw failure
    }
  }

  /// Throws `usage` where the method does not learn from such a file.
  private static func check(
    _ statistics: LayerStatistics?, _ quantization: WeightQuantization
  ) throws {
    let method = quantization.method
    let isWeighted = method == .rtn && quantization.weightsRanges
    guard statistics == nil || method == .gptq || isWeighted else {
      throw Failure(
        .usage, at: "--statistics",
        method.folds
          ? "the searches of awq run the model on text" : "rtn takes them for weighted ranges only",
        expected: "--method gptq, or rtn with --weighted-ranges", found: method.rawValue)
    }
    guard let statistics, !statistics.isImportanceOnly || isWeighted else {
      guard let statistics else { return }
      throw Failure(
        .usage, at: statistics.path,
        "an importance matrix has the diagonal of Hessians alone, and gptq needs all of them",
        expected: "LAYER.hessian or LAYER.inputs in safetensors", found: "a file of llama.cpp",
        rule: "IM-7", remedy: "--method rtn --weighted-ranges takes it")
    }
    guard quantization.asymmetry == nil else {
      throw Failure(
        .usage, at: "--statistics", "Hessians alone don't tell how inputs have changed",
        expected: "no --gptaq", found: "both")
    }
  }

  /// Throws `usage` where the method and what it is to learn from don't belong together.
  private static func check(
    _ calibration: Calibration?, _ statistics: LayerStatistics?,
    _ quantization: WeightQuantization
  ) throws {
    guard statistics == nil || calibration == nil else {
      throw Failure(
        .usage, at: "--statistics", "takes the place of calibration", expected: "one of them",
        found: "both")
    }
    guard quantization.isCalibrated == (calibration != nil || statistics != nil) else {
      throw Failure(
        .usage, at: "--method",
        quantization.isCalibrated ? "the method needs calibration" : "rtn takes no calibration",
        found: quantization.method.rawValue)
    }
  }

  /// Throws `malformed` where statistics do not fit, or with `strict` where a layer has none.
  private static func check(
    _ statistics: LayerStatistics?, _ modules: QuantizedModules, _ quantization: WeightQuantization
  ) throws {
    guard let statistics else { return }
    let known = statistics.modules
    for module in modules.modules { try statistics.check(module) }
    let without = modules.modules.map(\.name).filter { !known.contains($0) }
    guard without.isEmpty || !quantization.strict && without.count < modules.modules.count else {
      throw Failure(
        .malformed, at: statistics.path, "layers without statistics",
        expected: statistics.expected, found: "\(without.count) without", rule: "LS-3",
        reasons: [Failure.Reason("nothing is known of", names: without)])
    }
  }

  /// What the user should know of the layouts that were asked for.
  public var warnings: [Finding] {
    let layers = modules.modules.map(\.name)
    return [names.note].compactMap(\.self)
      + quantization.formats.compactMap { Conv1D.warning($0, layers, of: source) }
  }

  /// Whether hidden states go to a file.
  public var spills: Bool { memory.spills }

  /// The source with quantized blocks in the place of their weights.
  func checkpoint(_ files: BlockFiles, blocks: [Int]) throws -> Checkpoint {
    let all = modules.blocks
    return try Checkpoint(
      source, blocks: blocks.map { try files.file($0) },
      of: modules.only(blocks.flatMap { all[$0] }), quantization, details: details)
  }

  var quantizer: WeightQuantizer {
    WeightQuantizer(quantization: quantization, threads: options.threads)
  }

  public var layerCount: Int { modules.modules.count }
  /// Blocks that are quantized one after the other; the head counts as one.
  public var blockCount: Int { modules.blocks.count }
  /// Linear layers that stay dense: by the user's word, and by themselves.
  public var denseLayers: [String] { modules.skipped + modules.kept }

  /// Layers that a file of statistics knows nothing of.
  public var layersWithoutStatistics: [String] {
    guard let known = statistics?.modules else { return [] }
    return modules.modules.map(\.name).filter { !known.contains($0) }
  }

  /// Layers with other settings than most, by the user's word.
  public var overriddenLayers: [String] {
    let names = modules.modules.map(\.name)
    return names.filter { quantization.override(for: $0) != nil }
  }

  /// Weights that are quantized.
  public var weightCount: Int {
    modules.modules.reduce(0) { $0 + $1.rows * $1.columns }
  }

  /// Where each layout goes: into the output, or several into folders inside it.
  public func outputs(at path: String) -> [(codec: any Codec, path: String)] {
    quantization.formats.map { codec in
      (codec, quantization.formats.count > 1 ? "\(path)/\(codec.name)" : path)
    }
  }

  /// `seconds`: what each stage is likely to take on this machine.
  public func json(_ seconds: [QuantizationStage: Double]? = nil) -> JSON {
    [
      "source": .string(source.path), "quantization": .object(quantization.json),
      "layers": .array(
        modules.modules.map {
          [
            "name": .string($0.name), "rows": .integer($0.rows), "columns": .integer($0.columns),
            "bits": .integer($0.settings.bits), "group_size": .integer($0.settings.groupSize),
            "sym": .bool($0.settings.symmetric), "desc_act": .bool(quantization.isOrdered($0.name)),
          ]
        }),
      "kept_dense": .strings(denseLayers),
      "statistics": statistics.map {
        [
          "file": .string($0.path), "layers": .integer(layerCount - layersWithoutStatistics.count),
          "without": .strings(layersWithoutStatistics), "unused": .strings($0.unusedEntries),
        ]
      } ?? .null,
      "calibration": calibration.map(\.json) ?? .null,
      "memory": calibration == nil ? .null : memory.json,
      "operations": calibration == nil ? .null : arithmetic.json,
      "seconds": seconds.map(\.json) ?? .null, "disk": disk.json,
      "formats": .array(
        forecasts.map {
          [
            "format": .string($0.name), "bytes": .integer($0.byteCount),
            "bits_per_weight": .real($0.bitsPerWeight(weightCount)),
            "changes": .strings($0.changes.map(\.description)),
            "source_tensors": .array($0.fates.map(\.json)),
          ]
        }),
    ]
  }
}

extension FormatForecast {
  /// Bits that a weight takes with its share of scales and zero points.
  public func bitsPerWeight(_ weights: Int) -> Double { Double(byteCount) * 8 / Double(weights) }
}
