public import Codecs
internal import Containers
public import TensorCore

/// The config files of a checkpoint and the quantization they declare.
public struct ModelConfig: Sendable {
  /// A config file that was found, and its content.
  public struct File: Sendable {
    public let name: String
    public let object: JSONObject
  }

  /// `config.json`; nil where there is none.
  public let model: File?
  /// `quantize_config.json` or one of its other names.
  public let quantization: File?
  /// What the configs declare; nil where they declare nothing, or a layout that is not read.
  public let scheme: Scheme?
  /// `quant_method` by its own word, whether it is read or not.
  public let method: String?
  public let findings: [Finding]

  /// The names of files that hold nothing but a quantization config, in the order of search.
  static let quantizationNames = [
    "quantize_config.json", "quant_config.json", "quantization_config.json", "hf_quant_config.json",
  ]
  private static let limit = 25_000_000

  init(folder: any ModelFolder) throws {
    model = try Self.read("config.json", in: folder)
    quantization = try Self.quantizationNames.lazy.compactMap {
      try Self.read($0, in: folder)
    }.first
    let declarations = [
      model.flatMap { Self.declaration(in: $0) }, quantization.map { ($0.name, $0.object) },
    ].compactMap(\.self)
    var findings: [Finding] = []
    let schemes = try declarations.compactMap { name, object in
      try Self.scheme(of: object, at: "\(folder.path)/\(name)", &findings)
    }
    method = declarations.lazy.compactMap { Self.method(of: $0.1) }.first
    scheme = schemes.first
    if let first = schemes.first, let second = schemes.dropFirst().first,
      !first.describesSameLayers(as: second)
    {
      let failure = Failure(
        .malformed, at: folder.path, "the two quantization configs disagree",
        expected: "\(declarations[0].0): \(first.summary)",
        found: "\(declarations[1].0): \(second.summary)", rule: "GPTQ-21")
      findings.append(Finding(.error, failure))
    }
    self.findings = findings
  }

  /// The configs of a dense model that has been quantized as `scheme` says.
  init(_ dense: ModelConfig, quantizedBy scheme: Scheme) {
    (model, quantization, self.scheme) = (dense.model, nil, scheme)
    (method, findings) = (scheme.layout, dense.findings)
  }

  /// The type the model's dense weights have by its own word.
  public var denseType: DType? {
    let name = (model?.object["dtype"] ?? model?.object["torch_dtype"])?.string
    let types: [String: DType] = ["float32": .f32, "float16": .f16, "bfloat16": .bf16]
    return name.flatMap { types[$0] }
  }

  private static func read(_ name: String, in folder: any ModelFolder) throws -> File? {
    guard let bytes = try folder.contents(of: name, limit: limit) else { return nil }
    let path = folder.path + "/" + name
    let json = try JSON(parsing: bytes, at: path)
    guard let object = json.object else {
      throw Failure(.malformed, at: path, "the config", expected: "an object", found: "other JSON")
    }
    return File(name: name, object: object)
  }

  private static func declaration(in model: File) -> (String, JSONObject)? {
    let keys = ConfigRewrite.quantizationKeys
    return keys.lazy.compactMap { model.object[$0]?.object }.first.map { (model.name, $0) }
  }

  private static func method(of config: JSONObject) -> String? {
    (config["quant_method"] ?? config["method"])?.string
  }

  private static func scheme(
    of config: JSONObject, at place: String, _ findings: inout [Finding]
  ) throws -> Scheme? {
    do {
      for codec in Codecs.all {
        if let scheme = try codec.scheme(from: config) { return scheme }
      }
    } catch var failure as Failure {
      failure.place = place
      findings.append(Finding(.error, failure))
      return nil
    }
    let failure = Failure(
      .unsupported, at: place, "the quantization method is not read by this version",
      found: method(of: config) ?? "no quant_method")
    findings.append(Finding(.warning, failure))
    return nil
  }
}

extension Scheme {
  /// One line for people.
  public var summary: String {
    let group = defaults.groupSize == -1 ? "per channel" : "group_size \(defaults.groupSize)"
    return "\(layout), \(defaults.bits) bits, \(group), "
      + (defaults.symmetric ? "symmetric" : "asymmetric")
  }

  /// Whether two dialects of one checkpoint agree on what decides its numbers.
  func describesSameLayers(as other: Scheme) -> Bool {
    layout == other.layout && defaults.bits == other.defaults.bits
      && defaults.groupSize == other.defaults.groupSize
      && quantizesHead == other.quantizesHead
  }
}
