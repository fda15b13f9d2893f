import ArgumentParser
import Checkpoints

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a checkpoint in another layout, bit for bit, and prove it.",
    discussion: """
      Codes, zero points and scales are moved, never computed anew; everything else is carried \
      over byte for byte. What the target can't hold is refused before a byte is written. The \
      output is read back and compared with the source before it takes its name. A conversion \
      that was cut short goes on where it stopped when the same command runs again.
      """)

  @Argument(help: "The source: a checkpoint folder, a .safetensors file, an index or a container.")
  var source: String

  @Option(
    help: ArgumentHelp(
      "What to write: \(ConversionOptions.targetNames.joined(separator: ", ")); several with "
        + "commas, each into its own folder of the output.", valueName: "layout"))
  var to: String

  @Option(help: "The type of dense weights: bf16, f16 or f32; by default the model's own.")
  var dtype: DenseType?

  @Option(help: "Split groups into this size, where that is exact.")
  var groupSize: Int?

  @Option(
    help: ArgumentHelp(
      "Pad MLPs with zeros so that each of that many ranks gets whole groups.",
      valueName: "ranks"))
  var padForTp: Int?

  @Option(
    help: ArgumentHelp(
      "Write layers dense that the target can't hold, such as embeddings.", valueName: "dense"))
  var rest: Rest?

  @Flag(
    help: ArgumentHelp(
      "Refuse layers whose inputs are in activation order, also where the order can be moved exactly.",
      discussion: """
        By default the order of down_proj's inputs is moved into the outputs of gate_proj and up_proj \
        (fc2's into fc1) where the target has no g_idx: the same function, with rows in another order, \
        which nibble diff reports.
        """))
  var noFold = false

  @Flag(help: "Round layers anew that the target can't hold; the error this adds is reported.")
  var allowRequantize = false

  @Option(
    help: ArgumentHelp(
      "MLX scales and biases: f32 where F16 can't hold a bias exactly (auto), or refuse (f16).",
      valueName: "auto|f16"))
  var mlxScales: MLXScales = .auto

  @OptionGroup var output: OutputArguments

  enum MLXScales: String, ExpressibleByArgument { case auto, f16 }
  enum Rest: String, ExpressibleByArgument { case dense }

  func validate() throws {
    try output.check()
    if let groupSize, groupSize < 1 {
      throw ValidationError("--group-size takes a positive number")
    }
    if let padForTp, padForTp < 1 {
      throw ValidationError("--pad-for-tp takes a positive number")
    }
  }

  func run() throws {
    let checkpoint = try Checkpoint(opening: source)
    let names = to.split(separator: ",").map(String.init)
    guard !names.isEmpty else { throw ValidationError("--to names a layout") }
    // All plans are made before anything is written, so that a refusal costs nothing.
    try output.carryOut(names.map { try ConversionPlan(checkpoint, options($0, for: checkpoint)) })
  }

  private func options(_ name: String, for checkpoint: Checkpoint) throws -> ConversionOptions {
    let type = dtype?.dtype ?? checkpoint.config.denseType ?? .bf16
    var options = try ConversionOptions(target: name, dtype: type)
    options.groupSize = groupSize
    options.padForRanks = padForTp
    options.allowsRequantize = allowRequantize
    options.foldsOrders = !noFold
    options.restType = rest.map { _ in type }
    options.encoding.allowsFloat32Scales = mlxScales == .auto
    return output.options(options)
  }
}

struct Dequantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write packed layers as dense weights: short for convert --to dense.")

  @Argument(help: "The source: a checkpoint folder, a .safetensors file, an index or a container.")
  var source: String

  @Option(help: "The type of dense weights: bf16, f16 or f32; by default the model's own.")
  var dtype: DenseType?

  @OptionGroup var output: OutputArguments

  func validate() throws { try output.check() }

  func run() throws {
    let checkpoint = try Checkpoint(opening: source)
    let type = dtype?.dtype ?? checkpoint.config.denseType ?? .bf16
    let options = output.options(ConversionOptions(target: .dense(type)))
    try output.carryOut([ConversionPlan(checkpoint, options)])
  }
}

struct Reshard: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the same tensors into files of another size, byte for byte.")

  @Argument(help: "The source: a checkpoint folder, a .safetensors file, an index or a container.")
  var source: String

  @OptionGroup var output: OutputArguments

  func validate() throws { try output.check() }

  func run() throws {
    let options = output.options(ConversionOptions(target: .asIs))
    let plan = try ConversionPlan(Checkpoint(opening: source), options)
    try output.carryOut([plan])
  }
}

/// A dense type by its usual names.
struct DenseType: ExpressibleByArgument {
  let dtype: DType

  init?(argument: String) {
    switch argument.lowercased() {
    case "bf16", "bfloat16": dtype = .bf16
    case "f16", "fp16", "float16": dtype = .f16
    case "f32", "fp32", "float32": dtype = .f32
    default: return nil
    }
  }
}
