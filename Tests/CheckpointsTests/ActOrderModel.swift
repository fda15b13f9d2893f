import Checkpoints
import TensorCore
import TestKit
import Testing

/// A tiny model in 4-bit groups with real orders of inputs (`g_idx`): in all of its layers, or only in those
/// that close a feed-forward module.
struct ActOrderModel {
  let folder: TemporaryFolder
  /// What every layer is permuted in.
  var all: String { folder.path("all") }
  /// The same model with an order in down_proj, w2 and fc2 alone.
  var inner: String { folder.path("inner") }

  /// Weights of a fixture of models, or of one at a path, rounded to nearest, and orders drawn at random; nil
  /// takes a LLaMA of three blocks.
  init(
    _ name: String? = nil, groupSize: Int = 8, symmetric: Bool = true,
    skipping skipped: String? = nil
  ) throws {
    folder = try TemporaryFolder()
    var source = folder.path("dense")
    if let name {
      source = name.hasPrefix("/") ? name : Fixtures.path("models/" + name)
    } else {
      try TinyModel.write(to: source)
    }
    var quantization = try WeightQuantization(method: "rtn", formats: ["gptq_v2"])
    (quantization.groupSize, quantization.symmetric) = (groupSize, symmetric)
    if name == "llama-bias-tied" {
      // Too narrow for whole words.
      quantization.skipped = [try NamePattern(".*[kv]_proj", at: "the test")]
    }
    if let skipped { quantization.skipped = [try NamePattern(skipped, at: "the test")] }
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    _ = try WeightPlan(Checkpoint(opening: source), quantization, options)
      .run(to: folder.path("plain"))
    try write(to: all, permuting: { _ in true })
    try write(to: inner)
  }

  /// A LLaMA of three blocks as GPTQ leaves it, every layer in the order of its activations.
  static func quantized(to path: String) throws {
    try TinyModel.write(to: path + "-dense")
    var random = SplitMix64(seed: 5)
    let documents = (0..<4).map { _ in
      CalibrationDocument(
        ids: (0..<32).map { _ in Int32.random(in: 0..<48, using: &random) }, isText: false)
    }
    let calibration = try Calibration(
      documents, from: ["drawn"], Calibration.Options(), vocabulary: TinyModel.vocabulary)
    var quantization = try WeightQuantization(method: "gptq", formats: ["gptq"])
    (quantization.groupSize, quantization.actOrder) = (32, true)
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    let source = try Checkpoint(opening: path + "-dense")
    _ = try WeightPlan(source, quantization, options, calibration: calibration).run(to: path)
  }

  /// Whether a module's inputs are the inside of a feed-forward module.
  static func isInner(_ name: String) -> Bool {
    ["down_proj.", "fc2.", "w2.", "mlp.c_proj."].contains { name.contains("." + $0) }
  }

  /// Writes the model with an order in the modules that are picked.
  func write(
    to path: String, config: String? = nil, more: (inout Model) -> Void = { _ in },
    permuting isPicked: (_ tensor: String) -> Bool = isInner
  ) throws {
    var random = SplitMix64(seed: 17)
    let plain = try Checkpoint(opening: folder.path("plain"))
    var model = Model()
    for tensor in plain.tensors.tensors {
      var bytes = try Files.bytes(of: tensor)
      if tensor.name.hasSuffix(".g_idx"), isPicked(tensor.name) {
        let groups = stride(from: 0, to: bytes.count, by: 4).map { bytes[$0] }
        bytes = groups.shuffled(using: &random).flatMap { [$0, 0, 0, 0] }
      }
      model.add(tensor.name, tensor.dtype, tensor.shape.dimensions, bytes)
    }
    model.config = try config ?? self.config
    more(&model)
    try model.write(to: path)
  }

  /// `config.json` of all of them.
  var config: String {
    get throws {
      let bytes = try FileSystem.contents(of: folder.path("plain/config.json"), limit: 1 << 20)
      return String(decoding: bytes, as: UTF8.self)
    }
  }
}
