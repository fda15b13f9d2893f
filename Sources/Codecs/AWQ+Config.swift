public import TensorCore

extension AWQ {
  public func scheme(from config: JSONObject) throws -> Scheme? {
    try AutoRoundDialect.scheme(from: config, layout: name)
      ?? AWQDialect.scheme(from: config, layout: name)
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    try AWQDialect.config(for: scheme, version: "gemm")
  }
}

/// The AWQ dialect of `quantization_config`, one for all layouts of its family (`Formats/awq.md`,
/// AWQ-10 to AWQ-13).
enum AWQDialect {
  /// The versions a config may name and the layout each of them is on disk; exllama and IPEX
  /// kernels turn GEMM files when they load them.
  private static let layouts = [
    "gemm": "awq", "exllama": "awq", "exllamav2": "awq", "ipex": "awq", "gemv": "awq_gemv",
    "gemv_fast": "awq_gemv_fast", "llm-awq": "llm_awq",
  ]

  /// nil where the config speaks of another layout.
  static func scheme(from config: JSONObject, layout: String) throws -> Scheme? {
    let reader = ConfigReader(
      config, at: "quantization config",
      rules: ConfigReader.Rules(type: "AWQ-10", support: "AWQ-13"))
    guard (config["quant_method"] ?? config["method"])?.string?.lowercased() == "awq",
      try self.layout(reader) == layout
    else { return nil }
    let hasZeroPoint = try reader.bool(["zero_point"]) ?? !(reader.bool(["sym"]) ?? false)
    return Scheme(
      layout: layout,
      defaults: Scheme.Settings(
        bits: try reader.int(["bits", "w_bit"]) ?? 4,
        groupSize: try reader.int(["group_size", "q_group_size"]) ?? 128,
        symmetric: !hasZeroPoint),
      overrides: try skipped(reader),
      quantizesHead: try reader.bool(["lm_head"]) ?? false, writer: reader.writer,
      quantizer: reader.quantizer)
  }

  private static func layout(_ reader: ConfigReader) throws -> String {
    let isLLMAWQ = try reader.string(["backend"])?.lowercased() == "llm-awq"
    guard
      let version = try reader.string(["version", "format", "checkpoint_format"])?.lowercased()
    else { return isLLMAWQ ? "llm_awq" : "awq" }
    guard let layout = layouts[version] else { throw reader.unsupported("AWQ version \(version)") }
    return layout
  }

  private static func skipped(_ reader: ConfigReader) throws -> [Scheme.Override] {
    guard let modules = reader.object["modules_to_not_convert"], !modules.isNull else { return [] }
    guard let names = modules.array?.map(\.string), !names.contains(nil) else {
      throw reader.wrongType("modules_to_not_convert", "a list of strings")
    }
    return names.compactMap(\.self).map { Scheme.Override(.contains($0), nil) }
  }

  /// AWQ-11: loaders read one width and one group size for all layers, and the modules left out.
  static func config(for scheme: Scheme, version: String) throws -> JSONObject {
    let exceptions = scheme.overrides.filter { $0.settings != nil }
    guard exceptions.isEmpty else {
      throw Failure(
        .cannotRepresent, at: "quantization config",
        "AWQ configs have one group_size for all layers",
        expected: "group_size \(scheme.defaults.groupSize) everywhere",
        found: "\(exceptions.count) layers with another", rule: "AWQ-11")
    }
    let skipped = scheme.overrides.map(\.modules.asPiece)
    var config = JSONObject([
      "bits": .integer(scheme.defaults.bits),
      "group_size": .integer(scheme.defaults.groupSize),
      // The file always has zero points; loaders that see false may skip them.
      "zero_point": true,
      "desc_act": false,
      "lm_head": .bool(scheme.quantizesHead),
      "quant_method": "awq",
      "method": "awq",
      "version": .string(version),
      "format": .string(version),
      "checkpoint_format": .string(version),
      "pack_dtype": version == "gemm" || version == "gemv" ? "int32" : "int16",
      "modules_to_not_convert": skipped.isEmpty ? .null : .strings(skipped),
    ])
    if !skipped.isEmpty { config["dynamic"] = .object(dynamic(scheme)) }
    config["meta"] = scheme.meta
    return config
  }

  /// The modules left out once more, for GPTQModel, which reads no `modules_to_not_convert`.
  private static func dynamic(_ scheme: Scheme) -> JSONObject {
    var rules = JSONObject()
    for override in scheme.overrides { rules["-:" + override.modules.asRegex] = [:] }
    return rules
  }
}

extension ModulePattern {
  fileprivate var asPiece: String {
    switch self {
    case .regex(let pattern): pattern.text
    case .contains(let piece), .exactly(let piece): piece
    }
  }
}
