import ArgumentParser
import Checkpoints

/// `quantize` beside reading its source and copying what it writes, with and without flushing to
/// disk.
struct BenchQuantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Time quantizing beside cat of the source and cp -r of the output.")

  @Argument(help: "The checkpoint to quantize: a folder.")
  var source: String

  @Option(help: "bnb-nf4, bnb-fp4 or bnb-int8.")
  var method: String

  @Flag(help: "Quantize the maxima of blocks as well.")
  var doubleQuant = false

  @Option(help: "A folder for the outputs; they are removed again.")
  var scratch: String

  @Option(help: "Counted runs of each side.")
  var runs = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func run() throws {
    var quantization = try Quantization(method: method)
    quantization.doubleQuantized = doubleQuant
    var options = ConversionOptions(target: .quantized(quantization))
    options.threads = threads
    try CopyRace(
      source: source, options: options, scratch: scratch, runs: runs, readsSource: true,
      verb: "quantize"
    ).run()
  }
}
