import ArgumentParser
import Checkpoints

/// `convert` beside `cp -r` of what it writes, with and without flushing to disk.
struct BenchConvert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Time a conversion beside cp -r of its output.")

  @Argument(help: "The checkpoint to convert.")
  var source: String

  @Option(help: "The layout to write, or dense.")
  var to: String

  @Option(help: "The type of dense weights.")
  var dtype = DenseType(argument: "bf16")!

  @Option(help: "A folder for the outputs; they are removed again.")
  var scratch: String

  @Option(help: "Counted runs of each side.")
  var runs = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func run() throws {
    var options = try ConversionOptions(target: to, dtype: dtype.dtype)
    options.threads = threads
    try CopyRace(
      source: source, options: options, scratch: scratch, runs: runs, readsSource: false,
      verb: "convert"
    ).run()
  }
}
