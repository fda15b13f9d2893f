public import TensorCore

extension GPTQ {
  public func scheme(from config: JSONObject) throws -> Scheme? {
    let reader = ConfigReader(
      config, at: "quantization config", rules: GPTQDialect.rules)
    if let scheme = try AutoRoundDialect.scheme(from: config, layout: name) { return scheme }
    guard try GPTQDialect.layout(reader) == name else { return nil }
    let defaults = Scheme.Settings(
      bits: try reader.int(["bits", "w_bit", "wbits"]) ?? 4,
      groupSize: try reader.int(["group_size", "q_group_size"]) ?? 128,
      symmetric: try reader.bool(["sym"]) ?? true,
      actOrder: try reader.bool(["desc_act"]) ?? false)
    return Scheme(
      layout: name, defaults: defaults, overrides: try GPTQDialect.overrides(reader, defaults),
      quantizesHead: try reader.bool(["lm_head"]) ?? false, writer: reader.writer,
      quantizer: reader.quantizer)
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    var config = JSONObject([
      "bits": .integer(scheme.defaults.bits),
      "group_size": .integer(scheme.defaults.groupSize),
      "desc_act": .bool(scheme.defaults.actOrder),
      "sym": .bool(scheme.defaults.symmetric),
      "lm_head": .bool(scheme.quantizesHead),
      "quant_method": "gptq",
      "method": "gptq",
      "checkpoint_format": .string(name),
      "format": .string(name),
      "pack_dtype": "int32",
    ])
    let dynamic = GPTQDialect.dynamic(scheme)
    if !dynamic.members.isEmpty { config["dynamic"] = .object(dynamic) }
    config["meta"] = scheme.meta
    return config
  }

  /// GPTQ-26: GPTQModel loads an asymmetric version 1 file only where `meta.quantizer` names itself
  /// from 0.9 on, the writers whose fields are the zero points minus one. Ours are such fields, so
  /// the config names that generation where nobody else of it is named.
  public func completed(_ scheme: Scheme) -> Scheme {
    let isNamed = [scheme.writer, scheme.quantizer].contains {
      $0?.hasPrefix("gptqmodel:") ?? false
    }
    guard version == .v1, !scheme.defaults.symmetric, !isNamed else { return scheme }
    var scheme = scheme
    scheme.quantizer = "gptqmodel:0.9.0"
    return scheme
  }
}

/// The GPTQ dialect of `quantization_config` (`Formats/gptq.md`, GPTQ-20 to GPTQ-25).
private enum GPTQDialect {
  static let rules = ConfigReader.Rules(type: "GPTQ-20", support: "GPTQ-22")

  /// GPTQ-27: the types of words that GPTQModel packs.
  private static let packTypes = ["int32", "int16", "int8"].flatMap { [$0, "torch." + $0] }

  /// The codec the config speaks of; nil where it speaks of no GPTQ.
  static func layout(_ reader: ConfigReader) throws -> String? {
    let config = reader.object
    guard isGPTQ(config) else { return nil }
    if try reader.bool(["is_marlin_format"]) == true { throw reader.unsupported("Marlin tiles") }
    if let packed = try reader.string(["pack_dtype"]), !packTypes.contains(packed) {
      throw reader.unsupported("pack_dtype \(packed)")
    }
    let format = try reader.string(["checkpoint_format", "format"])?.lowercased() ?? "gptq"
    guard ["gptq", "gptq_v2"].contains(format) else {
      throw reader.unsupported("checkpoint_format \(format)")
    }
    return format
  }

  /// Early files name no method: bits with `desc_act` can only be AutoGPTQ's.
  private static func isGPTQ(_ config: JSONObject) -> Bool {
    if let method = (config["quant_method"] ?? config["method"])?.string {
      return method.lowercased() == "gptq"
    }
    return config["bits"] != nil && config["desc_act"] != nil
  }

  /// `dynamic`: expression → changed keys; the first that matches wins, `-:` leaves dense.
  static func overrides(
    _ reader: ConfigReader, _ defaults: Scheme.Settings
  ) throws -> [Scheme.Override] {
    guard let dynamic = reader.object["dynamic"], !dynamic.isNull else { return [] }
    guard let rules = dynamic.object else { throw reader.wrongType("dynamic", "an object") }
    return try rules.members.map { rule in
      let isSkip = rule.key.hasPrefix("-:")
      let text = isSkip || rule.key.hasPrefix("+:") ? String(rule.key.dropFirst(2)) : rule.key
      let pattern = ModulePattern.regex(try NamePattern(text, at: reader.place, rule: "GPTQ-23"))
      guard !isSkip else { return Scheme.Override(pattern, nil) }
      guard let keys = rule.value.object else {
        throw ConfigReader(rules, at: "dynamic", rules: Self.rules)
          .wrongType(rule.key, "an object")
      }
      let changes = ConfigReader(keys, at: "dynamic \(rule.key)", rules: Self.rules)
      var settings = defaults
      settings.bits = try changes.int(["bits"]) ?? settings.bits
      settings.groupSize = try changes.int(["group_size"]) ?? settings.groupSize
      settings.symmetric = try changes.bool(["sym"]) ?? settings.symmetric
      settings.actOrder = try changes.bool(["desc_act"]) ?? settings.actOrder
      return Scheme.Override(pattern, settings)
    }
  }

  static func dynamic(_ scheme: Scheme) -> JSONObject {
    var dynamic = JSONObject()
    for override in scheme.overrides {
      let pattern = override.modules.asRegex
      guard let settings = override.settings else {
        dynamic["-:" + pattern] = [:]
        continue
      }
      dynamic["+:" + pattern] = [
        "bits": .integer(settings.bits), "group_size": .integer(settings.groupSize),
        "sym": .bool(settings.symmetric), "desc_act": .bool(settings.actOrder),
      ]
    }
    return dynamic
  }
}

extension ModulePattern {
  /// The pattern as an expression that matches from the start of a name.
  var asRegex: String {
    switch self {
    case .regex(let pattern): pattern.text
    case .contains(let piece): ".*" + piece.escapedForRegex
    case .exactly(let name): name.escapedForRegex + "$"
    }
  }
}

extension String {
  var escapedForRegex: String {
    var text = ""
    for character in self {
      if #"\^$.|?*+()[]{}"#.contains(character) { text.append("\\") }
      text.append(character)
    }
    return text
  }
}
