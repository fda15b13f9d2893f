import ArgumentParser
import Checkpoints

@main
struct Nibble: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nibble",
    abstract: "Opens quantized model checkpoints, shows what is in them, and moves them between "
      + "layouts without changing a bit.",
    discussion: """
      A PATH is a checkpoint folder, a .safetensors file, a *.safetensors.index.json or a .pquant \
      container.

      Exit codes: 0 fine, 2 usage, 3 the numbers differ, 4 malformed file, 5 unsupported, \
      6 the target can't hold these numbers, 7 input/output, 8 device, 70 internal error.
      """,
    version: Release.version,
    subcommands: [
      Inspect.self, Convert.self, Quantize.self, Dequantize.self, Reshard.self, Pack.self,
      Unpack.self, Verify.self, Diff.self, MakeManifest.self, Repair.self, OptimizerVerb.self,
      Tokenize.self, Generate.self, Logits.self, PerplexityVerb.self, Doctor.self, Bench.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try Processor.checkEnvironment()
      try command.run()
    } catch {
      Exit.now(after: error, json: CommandLine.arguments.contains("--json"))
    }
  }
}
