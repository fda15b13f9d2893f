import ArgumentParser
import Checkpoints

/// What rtn, gptq, awq and awq+gptq are asked for.
struct WeightArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Layouts to write, several with commas, each into its own folder of the output: "
        + WeightQuantization.formatNames.joined(separator: ", ")
        + ". By default gptq for rtn and gptq, awq for awq and awq+gptq.", valueName: "a,b"))
  var format: String?

  @Option(parsing: .unconditional, help: "Bits of a code: 2 to 8; 4 by default.")
  var bits: Int?

  @Option(
    parsing: .unconditional,
    help: "Inputs that share a scale; -1: all of an output. 128 by default.")
  var groupSize: Int?

  @Flag(inversion: .prefixedNo, help: "One zero point for all, or one for each group.")
  var sym: Bool?

  @Flag(help: "GPTQ: inputs in order of their size, groups as they come (a real g_idx).")
  var descAct = false

  @Flag(help: "GPTQ: the ranges of all groups before any input is rounded; groups stay neighbours.")
  var staticGroups = false

  @Flag(inversion: .prefixedNo, help: "GPTQ: groups and the inputs in them in order of their size.")
  var actGroupAware: Bool?

  @Flag(
    help: "GPTQ: ranges of groups from weights with all errors so far, not only earlier blocks'.")
  var compensateRanges = false

  @Flag(inversion: .prefixedNo, help: "Layers of a block see what those before them have become.")
  var trueSequential: Bool?

  @Option(
    parsing: .unconditional,
    help:
      "Search ranges by errors to this power; 0 takes whole ranges. 2.4 for gptq, 0 for others by default."
  )
  var mse: Double?

  @Flag(
    help:
      "Errors count as their inputs do in that search (an importance matrix); rtn needs text, too.")
  var weightedRanges = false

  @Flag(help: "Three values, -scale, 0 and scale, in codes of 2 bits.")
  var ternary = false

  @Option(
    parsing: .unconditional,
    help: "GPTQ: answer for what layers before have changed of the inputs, by this share (GPTAQ).")
  var gptaq: Double?

  @Option(
    parsing: .unconditional, help: "GPTQ: the part of the diagonal's mean that is added to it.")
  var dampPercent: Double?

  @Option(
    parsing: .unconditional,
    help: "GPTQ: by how much that part grows until the Hessian is positive.")
  var dampAutoIncrement: Double?

  @Option(help: "AWQ: whose searches, best (default) or autoawq.")
  var awqRules: WeightQuantization.AWQRules?

  @Option(
    parsing: .unconditional,
    help: "AWQ: one power of the inputs' size, 0 to 1, instead of a search.")
  var awqRatio: Double?

  @Flag(inversion: .prefixedNo, help: "AWQ: clip the ranges of weights.")
  var clip: Bool?

  @Option(
    parsing: .unconditional, help: "AWQ: tokens that the clip search looks at; all by default.")
  var clipTokens: Int?

  @Option(
    help: ArgumentHelp(
      "The memory a calibrated run may take, such as 8GB: hidden states go to a file where it is "
        + "less.", valueName: "size"))
  var maxMemory: ByteSize?

  @Option(
    help:
      "What hidden states between blocks are kept in: f32 (default), or bf16 in half of the memory."
  )
  var hiddenDtype: DenseType?

  @Option(
    help: ArgumentHelp(
      "What second moments are summed in: f32 (default), or f64 in twice the memory and time, and "
        + "factored in so at any width."))
  var hessianDtype: HessianType?

  @Option(
    help: ArgumentHelp(
      "Other settings for modules that an expression matches from their start: bits, group_size, sym and "
        + "desc_act (true or false).", valueName: "regex:bits=8,group_size=64"))
  var override: [String] = []

  @Option(
    help: ArgumentHelp(
      "Leave modules dense that an expression matches from their start.", valueName: "regex"))
  var skip: [String] = []

  @Flag(help: "Quantize lm_head, too.")
  var quantizeHead = false

  @Option(help: "The type of scales: f16 (default), bf16 or f32.")
  var scaleDtype: DenseType?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Text for gptq and awq: .txt, .jsonl with text or messages, .json with lists of ids; a small "
        + "built-in text by default.", valueName: "file"))
  var calibration: [String] = []

  @Option(parsing: .unconditional, help: "Windows of calibration text, at most; 128 by default.")
  var numSamples: Int?

  @Option(
    parsing: .unconditional,
    help: "Tokens of a window; 2048 by default, or the positions the model has.")
  var seqLen: Int?

  @Option(help: "Draw windows from all of the text; by default the first are taken.")
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Run no model: gptq takes LAYER.hessian or LAYER.inputs from a safetensors file, rtn with "
        + "--weighted-ranges an importance matrix of llama.cpp too.",
      valueName: "file"))
  var statistics: String?

  @Option(
    help: ArgumentHelp(
      "GPTQ: write LAYER.hessian of each layer as it was used, for --statistics.",
      valueName: "file"))
  var saveStatistics: String?

  @Flag(help: "Fail where a layer would be rounded to nearest instead, or text is short.")
  var strict = false

  @Option(
    help: ArgumentHelp("Write a line of JSON for each layer as it is done.", valueName: "file"))
  var log: String?

  func quantization(_ method: String) throws -> WeightQuantization {
    var made = try WeightQuantization(
      method: method, formats: format?.split(separator: ",").map(String.init))
    made.bits = bits ?? (ternary ? 2 : made.bits)
    made.groupSize = groupSize ?? made.groupSize
    made.symmetric = sym
    made.actOrder = descAct
    made.staticGroups = staticGroups
    made.groupAware = actGroupAware
    made.compensatesRanges = compensateRanges
    made.trueSequential = trueSequential ?? made.trueSequential
    made.mse = mse
    (made.weightsRanges, made.isTernary, made.asymmetry) = (weightedRanges, ternary, gptaq)
    made.awqRules = awqRules ?? made.awqRules
    made.awqRatio = awqRatio
    made.clips = clip ?? made.clips
    made.clipTokens = clipTokens
    made.dampPercent = dampPercent ?? made.dampPercent
    made.dampIncrement = dampAutoIncrement ?? made.dampIncrement
    made.overrides = try override.map { try ModuleOverride(parsing: $0) }
    made.skipped = try skip.map { try NamePattern.typed($0, at: "--skip") }
    made.quantizesHead = quantizeHead
    made.scaleType = scaleDtype?.dtype ?? made.scaleType
    made.hiddenType = hiddenDtype?.dtype ?? made.hiddenType
    made.hessianType = hessianDtype?.dtype ?? made.hessianType
    made.strict = strict
    return made
  }

  private func plan(
    _ method: String, _ model: Checkpoint, _ options: ConversionOptions
  ) throws -> WeightPlan {
    let asked = try quantization(method)
    let statistics = try statistics.map { try LayerStatistics(path: $0) }
    try checkRead(by: asked)
    guard asked.isCalibrated, statistics == nil else {
      return try WeightPlan(
        model, asked, options, statistics: statistics, savingStatistics: saveStatistics)
    }
    return try WeightPlan(
      model, asked, options, calibration: readCalibration(model), maxMemory: maxMemory?.bytes,
      savingStatistics: saveStatistics)
  }

  private func readCalibration(_ model: Checkpoint) throws -> Calibration {
    var text = Calibration.Options()
    text.samples = numSamples ?? text.samples
    text.length = seqLen ?? text.length
    text.seed = seed
    let read = try Calibration(for: model, files: calibration, text)
    for remark in read.remarks(asked: text) { Terminal.complain("note: \(remark)") }
    if strict, !read.isBuiltIn, read.windows.count < text.samples {
      throw Failure(
        .malformed, at: calibration.joined(separator: ", "), "the calibration text is short",
        expected: "\(text.samples) windows", found: "\(read.windows.count)")
    }
    return read
  }

  /// Shows the plan, or runs it.
  func carryOut(
    _ method: String, _ source: String, _ options: ConversionOptions, _ output: OutputArguments
  ) throws {
    let plan = try plan(method, Checkpoint(opening: source), options)
    for warning in plan.warnings {
      Terminal.complain("\(warning.severity.rawValue): \(warning.failure)")
    }
    let seconds = try plan.calibration.map { _ in
      try ArithmeticRates.measured(threads: options.threads).seconds(plan.arithmetic)
    }
    if output.dryRun {
      return Terminal.print(
        output.json ? plan.json(seconds).text(indent: 2) : WeightText.plan(plan, seconds))
    }
    if let seconds {
      Terminal.complain("memory: \(WeightText.memory(plan))")
      Terminal.complain("time: \(WeightText.time(seconds))")
    }
    let log = try log.map { try LineLog(path: $0) }
    let line = ProgressLine()
    var observer = WeightPlan.Observer()
    let began = ContinuousClock.now
    observer.progress = { stage, done, total in
      var label = "\(stage)"
      if stage == .quantizing, done > 0, done < total {
        let passed = (ContinuousClock.now - began) / .seconds(1)
        label += ", \(Words.fixed(passed * Double(total - done) / Double(done), 0)) s left"
      }
      line.update(label, done, total)
    }
    observer.layer = { log?.write(JSON.object($0.json).text()) }
    let report = try plan.run(to: output.output ?? "", observer: observer)
    try log?.close()
    Terminal.print(output.json ? report.json.text(indent: 2) : WeightText.report(report))
  }
}

/// The type of second moments by its usual names.
enum HessianType: String, ExpressibleByArgument {
  case f32, f64

  var dtype: DType { self == .f32 ? .f32 : .f64 }
}
