import ArgumentParser
import Checkpoints

/// What bitsandbytes' methods are asked for.
struct BlockArguments: ParsableArguments {
  @Option(help: "Neighbours that share a maximum: 32 to 4096, a power of two; 64 by default.")
  var blockSize: Int?

  @Flag(help: "Quantize the maxima of blocks as well.")
  var doubleQuant = false

  @Option(help: "The type loaders compute in: bf16, f16 or f32; by default the model's own.")
  var computeDtype: DenseType?

  @Option(
    help: ArgumentHelp(
      "The type packed codes are labelled with: uint8, int8, float16, bfloat16, float32 or "
        + "float64; uint8 by default.", valueName: "type"))
  var quantStorage: StorageType?

  @Option(
    help: ArgumentHelp(
      "Modules to leave dense besides the head: names, beginnings or ends of names, with commas.",
      valueName: "a,b"))
  var skipModules: String?

  @Option(help: "Whose arithmetic holds where bitsandbytes' paths differ: cuda (default) or cpu.")
  var bnbRules: PeerRules?

  @Flag(help: "Take infinities and NaN as they come.")
  var allowNonfinite = false

  func quantization(_ method: String) throws -> Quantization {
    var quantization = try Quantization(method: method)
    quantization.blockSize = blockSize ?? quantization.blockSize
    quantization.doubleQuantized = doubleQuant
    quantization.computeType = computeDtype?.dtype
    quantization.storage = quantStorage?.dtype ?? quantization.storage
    quantization.skippedModules = skipModules?.split(separator: ",").map(String.init) ?? []
    quantization.rules = bnbRules ?? quantization.rules
    quantization.allowsNonFinite = allowNonfinite
    return quantization
  }

  /// Throws `usage` where one of them is set for another method.
  func checkAbsent(for method: String) throws {
    let set = [
      "--block-size": blockSize != nil, "--double-quant": doubleQuant,
      "--compute-dtype": computeDtype != nil, "--quant-storage": quantStorage != nil,
      "--skip-modules": skipModules != nil, "--bnb-rules": bnbRules != nil,
      "--allow-nonfinite": allowNonfinite,
    ]
    guard let name = set.filter(\.value).keys.sorted().first else { return }
    throw Failure(.usage, at: name, "is an option of bitsandbytes' methods, not of \(method)")
  }
}

/// A type of packed codes by torch's name.
struct StorageType: ExpressibleByArgument {
  let dtype: DType

  init?(argument: String) {
    guard let type = Quantization.storageType(named: argument) else { return nil }
    dtype = type
  }
}
