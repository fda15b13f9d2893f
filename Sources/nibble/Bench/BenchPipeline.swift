import ArgumentParser
import Checkpoints

/// A whole calibrated run beside the floor of its own arithmetic: every window once through every layer, second
/// moments, factors and updates, all at the rate of OpenBLAS' products, measured before and after it.
struct BenchPipeline: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pipeline",
    abstract: "Time a run of gptq or awq beside the arithmetic it can't do without.")

  @Argument(help: "A dense model, such as bench model writes.")
  var source: String

  @Option(help: "gptq, awq or awq+gptq.")
  var method = "gptq"

  @Option(help: "Lists of ids in JSON, or text; random ids by default.")
  var calibration: String?

  @Option(help: "Bits of a code.")
  var bits = 4

  @Option(help: "Columns of a group.")
  var groupSize = 128

  @Option(help: "Search ranges by errors to this power; 0 takes whole ranges.")
  var mse = 0.0

  @Option(help: "Windows.")
  var numSamples = 128

  @Option(help: "Tokens of a window.")
  var seqLen = 2048

  @Option(help: "The layout to write.")
  var format = "gptq"

  @Option(help: "The memory it may take.")
  var maxMemory: ByteSize?

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(
    help: "Count processor time, shared out to the threads: for machines that are busy otherwise.")
  var cpuTime = false

  @Option(name: .shortAndLong, help: "A folder to write, which is removed again.")
  var output: String

  func run() throws {
    let plan = try plan()
    let (cpuTime, threads) = (cpuTime, threads)
    let now: SecondsClock = {
      cpuTime ? Stopwatch.Clock.process.now / Double(threads) : Stopwatch.Clock.wall.now
    }
    let before = try ArithmeticRates.measured(threads: threads, now: now)
    let start = now()
    let report = try plan.run(to: output, now: now)
    let seconds = now() - start
    try FileSystem.removeFolder(output)
    let after = try ArithmeticRates.measured(threads: threads, now: now)
    let floor = (floor(plan, before) + floor(plan, after)) / 2
    let told = before.seconds(plan.arithmetic)
    var table = Table([.left, .right, .right])
    table.add("stage", "took s", "predicted s")
    for stage in QuantizationStage.allCases {
      table.add(
        "\(stage)", Words.fixed(report.seconds[stage] ?? 0, 2), Words.fixed(told[stage] ?? 0, 2))
    }
    table.add("all", Words.fixed(seconds, 2), Words.fixed(told.values.reduce(0, +), 2))
    Terminal.print(table.text())
    Terminal.print(
      "\(cpuTime ? "processor time by thread" : "time") on \(threads) threads; floor "
        + "\(Words.fixed(floor, 2)) s at \(Words.fixed(before.products / 1e9, 0)) and then "
        + "\(Words.fixed(after.products / 1e9, 0)) G operations/s: took "
        + "\(Words.fixed(seconds / floor, 2)) times that")
  }

  private func plan() throws -> WeightPlan {
    var asked = try WeightQuantization(method: method, formats: [format])
    (asked.bits, asked.groupSize, asked.mse) = (bits, groupSize, mse)
    var options = ConversionOptions(target: .asIs)
    (options.threads, options.sync, options.force) = (threads, false, true)
    var text = Calibration.Options()
    (text.samples, text.length) = (numSamples, seqLen)
    let model = try Checkpoint(opening: source)
    let windows =
      try calibration.map { try Calibration(for: model, files: [$0], text) } ?? drawn(text)
    return try WeightPlan(
      model, asked, options, calibration: windows, maxMemory: maxMemory?.bytes)
  }

  private func drawn(_ text: Calibration.Options) throws -> Calibration {
    var random = RandomBytes()
    let windows = (0..<numSamples).map { _ in
      CalibrationDocument(ids: (0..<seqLen).map { _ in Int32(random.next() % 1000) }, isText: false)
    }
    return try Calibration(windows, from: ["drawn"], text, vocabulary: nil)
  }

  /// Double precision has half of the rate.
  private func floor(_ plan: WeightPlan, _ rates: ArithmeticRates) -> Double {
    let least = plan.leastArithmetic
    let double = least.factors[.double] ?? 0
    return (least.total + double) / rates.products
  }
}
