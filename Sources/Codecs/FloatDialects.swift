import TensorCore

/// The `fp8` dialect of `quantization_config` (`Formats/fp8.md`, FP8-6), with `fbgemm_fp8` and
/// `mxfp8`, which say no more.
enum FP8Dialect {
  private static let rules = ConfigReader.Rules(type: "FP8-6", support: "FP8-6")

  @Sendable static func scheme(_ config: JSONObject) throws -> Scheme? {
    let method = config.quantMethod
    if method == "fp8" || method == "fbgemm_fp8" { return try scheme(config, "fp8", group: -1) }
    return try ModelOptDialect.fp8(config)
  }

  @Sendable static func mxScheme(_ config: JSONObject) throws -> Scheme? {
    if config.quantMethod == "mxfp8" { return try scheme(config, "mxfp8", group: 32) }
    return try ModelOptDialect.mxfp8(config)
  }

  private static func scheme(
    _ config: JSONObject, _ layout: String, group: Int
  ) throws -> Scheme {
    let reader = ConfigReader(config, at: "quantization config", rules: rules)
    var dialect = JSONObject()
    for key in ["weight_block_size", "weight_scale_semantics"] {
      if let value = config[key], !value.isNull { dialect[key] = value }
    }
    let settings = Scheme.Settings(
      bits: 8, groupSize: group, symmetric: true, dialect: dialect)
    let skipped = try reader.skippedModules(
      ["modules_to_not_convert", "ignored_layers", "ignore"])
    return Scheme(
      layout: layout, defaults: settings, overrides: skipped, quantizesHead: true,
      writer: reader.writer)
  }
}

/// The `mxfp4` dialect of gpt-oss (`Formats/mxfp4.md`, MX-6).
enum MXFP4Dialect {
  @Sendable static func scheme(_ config: JSONObject) throws -> Scheme? {
    guard config.quantMethod == "mxfp4" else { return try ModelOptDialect.mxfp4(config) }
    let reader = ConfigReader(
      config, at: "quantization config", rules: .init(type: "MX-6", support: "MX-6"))
    return Scheme(
      layout: "mxfp4", defaults: Scheme.Settings(bits: 4, groupSize: 32, symmetric: true),
      overrides: try reader.skippedModules(["modules_to_not_convert"]), quantizesHead: true)
  }
}

/// What NVIDIA's ModelOpt writes: `hf_quant_config.json`, or the same keys in `config.json`
/// (`Formats/nvfp4.md`, NVFP4-6).
enum ModelOptDialect {
  private static let algorithms: [String: (layout: String, bits: Int, group: Int)] = [
    "NVFP4": ("nvfp4", 4, 16), "W4A16_NVFP4": ("nvfp4", 4, 16), "NVFP4_AWQ": ("nvfp4", 4, 16),
    "MIXED_PRECISION": ("nvfp4", 4, 16), "FP8": ("fp8", 8, -1), "FP8_PB_WO": ("fp8", 8, -1),
    "FP8_PER_CHANNEL_PER_TOKEN": ("fp8", 8, -1), "MXFP8": ("mxfp8", 8, 32),
    "MXFP4": ("mxfp4", 4, 32),
  ]

  @Sendable static func nvfp4(_ config: JSONObject) throws -> Scheme? {
    // The last of the family to be asked says what none reads.
    try scheme(config, "nvfp4", isLast: true)
  }

  static func fp8(_ config: JSONObject) throws -> Scheme? { try scheme(config, "fp8") }

  static func mxfp8(_ config: JSONObject) throws -> Scheme? { try scheme(config, "mxfp8") }

  static func mxfp4(_ config: JSONObject) throws -> Scheme? { try scheme(config, "mxfp4") }

  private static func scheme(
    _ config: JSONObject, _ layout: String, isLast: Bool = false
  ) throws -> Scheme? {
    let isFile = config["producer"]?["name"]?.string == "modelopt"
    guard isFile || config.quantMethod?.hasPrefix("modelopt") == true else { return nil }
    let object = config["quantization"]?.object ?? config
    let reader = ConfigReader(
      object, at: "quantization config", rules: .init(type: "NVFP4-6", support: "NVFP4-6"))
    guard let name = try reader.string(["quant_algo"])?.uppercased() else { return nil }
    guard let algorithm = algorithms[name] else {
      if isLast { throw reader.unsupported("the algorithm \(name)") }
      return nil
    }
    guard algorithm.layout == layout else { return nil }
    let settings = Scheme.Settings(
      bits: algorithm.bits, groupSize: try reader.int(["group_size"]) ?? algorithm.group,
      symmetric: true)
    return Scheme(
      layout: layout, defaults: settings,
      overrides: try reader.skippedByWildcards(["exclude_modules", "ignore"]), quantizesHead: true,
      writer: try version(config))
  }

  private static func version(_ config: JSONObject) throws -> String? {
    config["producer"]?["version"]?.string.map { "modelopt:\($0)" } ?? "modelopt"
  }
}

extension JSONObject {
  /// The method a config names, lower-case.
  fileprivate var quantMethod: String? {
    (self["quant_method"] ?? self["method"])?.string?.lowercased()
  }
}

extension ConfigReader {
  /// Modules to leave dense as transformers takes them: an expression that matches from the start,
  /// or an end of the name.
  fileprivate func skippedModules(_ keys: [String]) throws -> [Scheme.Override] {
    try strings(keys).map { text in
      let pattern = "(?:\(text))|.*(?:\(text))$"
      let expression = try? NamePattern(pattern, at: place)
      return Scheme.Override(expression.map(ModulePattern.regex) ?? .contains(text), nil)
    }
  }

  /// Modules to leave dense by names with `*` and `?`.
  fileprivate func skippedByWildcards(_ keys: [String]) throws -> [Scheme.Override] {
    try strings(keys).map { text in
      guard !text.hasPrefix("re:") else {
        let pattern = try NamePattern(String(text.dropFirst(3)), at: place, rule: rules.type)
        return Scheme.Override(.regex(pattern), nil)
      }
      let expression = text.map { character in
        switch character {
        case "*": ".*"
        case "?": "."
        default: String(character).escapedForRegex
        }
      }
      let pattern = try NamePattern(expression.joined() + "$", at: place, rule: rules.type)
      return Scheme.Override(.regex(pattern), nil)
    }
  }

  private func strings(_ keys: [String]) throws -> [String] {
    for key in keys {
      guard let value = object[key], !value.isNull else { continue }
      guard let texts = value.array?.map(\.string), !texts.contains(nil) else {
        throw wrongType(key, "a list of strings")
      }
      return texts.compactMap(\.self)
    }
    return []
  }
}
