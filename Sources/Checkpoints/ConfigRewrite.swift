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

  init(_ config: ModelConfig, codec: any Codec, scheme: Scheme) throws {
    let quantization = try codec.config(for: scheme)
    var files: [File] = []
    if codec.habits.hasOwnConfigFile {
      files.append(File(name: "quantize_config.json", object: quantization))
    }
    if var model = config.model?.object {
      for key in Self.quantizationKeys {
        model[key] = codec.habits.configKeys.contains(key) ? .object(quantization) : nil
      }
      files.append(File(name: "config.json", object: model))
    }
    self.files = files
  }
}
