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

  public let files: [File]

  init(_ config: ModelConfig, codec: any Codec, scheme: Scheme) throws {
    let quantization = try codec.config(for: scheme)
    var files = [File(name: "quantize_config.json", object: quantization)]
    if var model = config.model?.object {
      model["quantization_config"] = .object(quantization)
      files.append(File(name: "config.json", object: model))
    }
    self.files = files
  }
}
