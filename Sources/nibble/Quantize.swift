import ArgumentParser
import Checkpoints

struct Quantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Quantize a dense checkpoint: RTN, GPTQ, AWQ, or as bitsandbytes does.",
    discussion: """
      rtn, gptq, awq and awq+gptq make codes for the layouts that --format names, several from one \
      run, or for the one of the method's name (rtn: gptq); what a layout can't hold is refused \
      before anything is computed. gptq and awq run the model block by block on calibration \
      text, in the memory of a block. bnb-nf4, bnb-fp4 and bnb-int8 make what transformers loads \
      with bitsandbytes. Everything else is carried over byte for byte; the output is read back \
      and compared before it takes its name. A run that was cut short goes on where it stopped \
      when the same command runs again.
      """)

  @Argument(help: "The source: a checkpoint folder, a .safetensors file or an index.")
  var source: String

  @Option(
    help: ArgumentHelp(
      "\(WeightQuantization.allMethods.joined(separator: ", ")).", valueName: "method"))
  var method: String

  @OptionGroup(title: "Options of rtn, gptq, awq and awq+gptq") var weights: WeightArguments

  @OptionGroup(title: "Options of bnb-nf4, bnb-fp4 and bnb-int8") var blocks: BlockArguments

  @OptionGroup var output: OutputArguments

  func validate() throws { try output.check() }

  func run() throws {
    guard WeightQuantization.allMethods.contains(method) else {
      throw Failure(
        .usage, at: "--method", "no such method",
        expected: WeightQuantization.allMethods.joined(separator: ", "), found: method)
    }
    guard WeightQuantization.Method(rawValue: method) != nil else {
      try weights.checkAbsent(for: method)
      let options = output.options(
        ConversionOptions(target: .quantized(try blocks.quantization(method))))
      return try output.carryOut([ConversionPlan(Checkpoint(opening: source), options)])
    }
    try blocks.checkAbsent(for: method)
    let options = output.options(ConversionOptions(target: .asIs))
    try weights.carryOut(method, source, options, output)
  }
}
