internal import Codecs
public import TensorCore

/// The config files of a converted checkpoint: `config.json` with its quantization replaced and
/// all else as it was, and `quantize_config.json` for loaders that read that one.
public struct ConfigRewrite: Sendable {
  public struct File: Sendable {
    public let name: String
    public let object: JSONObject

    /// Two blanks a level and a newline at the end.
    public var bytes: [UInt8] {
      Array((JSON.object(object).text(indent: 2) + "\n").utf8)
    }
  }

  /// The keys of `config.json` under which the dialects put their words.
  static let quantizationKeys = ["quantization_config", "quantization"]

  public let files: [File]

  /// Puts another quantization in, where the layout's loaders look for it.
  init(_ config: ModelConfig, quantization: JSONObject, habits: FileHabits) {
    var files: [File] = []
    if habits.hasOwnConfigFile {
      files.append(File(name: "quantize_config.json", object: quantization))
    }
    if var model = config.model?.object {
      for key in Self.quantizationKeys {
        model[key] = habits.configKeys.contains(key) ? .object(quantization) : nil
      }
      files.append(File(name: "config.json", object: model))
    }
    self.files = files
  }

  /// Takes the quantization out; the weights that were packed are of `denseType` now.
  init(_ config: ModelConfig, denseType: DType) {
    guard var model = config.model?.object else {
      files = []
      return
    }
    for key in Self.quantizationKeys { model[key] = nil }
    let names: [DType: String] = [.f32: "float32", .f16: "float16", .bf16: "bfloat16"]
    for key in ["dtype", "torch_dtype"] where model[key] != nil {
      model[key] = names[denseType].map(JSON.string) ?? model[key]
    }
    files = [File(name: "config.json", object: model)]
  }

  /// Leaves the configs as they are.
  init(unchanged config: ModelConfig) {
    files = [config.model, config.quantization].compactMap(\.self).map {
      File(name: $0.name, object: $0.object)
    }
  }
}
