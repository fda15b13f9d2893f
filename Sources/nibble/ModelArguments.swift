import ArgumentParser
import Checkpoints

/// What every verb that runs a model asks for.
struct ModelArguments: ParsableArguments {
  /// What the activations of quantized layers are.
  enum Activations: String, CaseIterable, ExpressibleByArgument {
    case float, config
  }

  @Option(
    help: ArgumentHelp(
      "float: dequantized weights, float activations; config: as the checkpoint's own config says.")
  )
  var activations = Activations.float

  @Flag(help: "Run in plain Swift with a stated order of sums: slow, to check against.")
  var reference = false

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func check() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }
}
