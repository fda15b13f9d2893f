import ArgumentParser
import Checkpoints

/// What every verb that runs a model asks for.
struct ModelArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Inputs of quantized layers: float, with weights dequantized; config, as the checkpoint says; "
        + "int8, faster and less exact."))
  var activations = ActivationChoice.float

  @Flag(help: "Run in plain Swift with a stated order of sums: slow, to check against.")
  var reference = false

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func check() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }
}
