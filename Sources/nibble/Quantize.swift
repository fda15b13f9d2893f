import ArgumentParser
import Checkpoints

struct Quantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Quantize a dense checkpoint as bitsandbytes does, without it.",
    discussion: """
      Linear layers become NF4, FP4 or LLM.int8() weights that transformers loads with \
      bitsandbytes; the head and embeddings stay dense, all else is carried over byte for byte. \
      No calibration is needed. With --double-quant every weight is read once before anything \
      is written.
      """)

  @Argument(help: "The source: a checkpoint folder, a .safetensors file or an index.")
  var source: String

  @Option(help: "bnb-nf4, bnb-fp4 or bnb-int8.")
  var method: String

  @Option(help: "Neighbours that share a maximum: 32 to 4096, a power of two.")
  var blockSize = 64

  @Flag(help: "Quantize the maxima of blocks as well.")
  var doubleQuant = false

  @Option(help: "The type loaders compute in: bf16, f16 or f32; by default the model's own.")
  var computeDtype: DenseType?

  @Option(
    help: ArgumentHelp(
      "The type packed codes are labelled with: uint8, int8, float16, bfloat16, float32 or "
        + "float64.", valueName: "type"))
  var quantStorage: StorageType = StorageType(dtype: .u8)

  @Option(
    help: ArgumentHelp(
      "Modules to leave dense besides the head: names, beginnings or ends of names, with commas.",
      valueName: "a,b"))
  var skipModules: String?

  @Option(help: "Whose arithmetic holds where bitsandbytes' paths differ: cuda or cpu.")
  var bnbRules: PeerRules = .cuda

  @Flag(help: "Take infinities and NaN as they come.")
  var allowNonfinite = false

  @OptionGroup var output: OutputArguments

  func validate() throws { try output.check() }

  func run() throws {
    var quantization = try Quantization(method: method)
    quantization.blockSize = blockSize
    quantization.doubleQuantized = doubleQuant
    quantization.computeType = computeDtype?.dtype
    quantization.storage = quantStorage.dtype
    quantization.skippedModules = skipModules?.split(separator: ",").map(String.init) ?? []
    quantization.rules = bnbRules
    quantization.allowsNonFinite = allowNonfinite
    let options = output.options(ConversionOptions(target: .quantized(quantization)))
    try output.carryOut([ConversionPlan(Checkpoint(opening: source), options)])
  }
}

/// A type of packed codes by torch's name.
struct StorageType: ExpressibleByArgument {
  let dtype: DType

  init(dtype: DType) {
    self.dtype = dtype
  }

  init?(argument: String) {
    guard let type = Quantization.storageType(named: argument) else { return nil }
    dtype = type
  }

  var defaultValueDescription: String { "uint8" }
}
