import TensorCore

/// The config that transformers writes for bitsandbytes (BNB-30 to BNB-32), shared by both layouts.
enum BitsAndBytesDialect {
  static let rules = ConfigReader.Rules(type: "BNB-30", support: "BNB-31")
  static let skipKey = "llm_int8_skip_modules"

  static var habits: FileHabits {
    var habits = FileHabits()
    habits.hasOwnConfigFile = false
    return habits
  }

  /// Every key transformers writes, in its order, with its defaults: the table is FP4 unless the
  /// config says otherwise. `_load_in_…` are spelled by its newer versions besides.
  private static func defaults(bits: Int) -> JSONObject {
    JSONObject([
      "_load_in_4bit": .bool(bits == 4), "_load_in_8bit": .bool(bits == 8),
      "bnb_4bit_compute_dtype": "float32", "bnb_4bit_quant_storage": "uint8",
      "bnb_4bit_quant_type": "fp4", "bnb_4bit_use_double_quant": false,
      "llm_int8_enable_fp32_cpu_offload": false, "llm_int8_has_fp16_weight": false,
      "llm_int8_skip_modules": .null, "llm_int8_threshold": .number("6.0"),
      "load_in_4bit": .bool(bits == 4), "load_in_8bit": .bool(bits == 8),
      "quant_method": "bitsandbytes",
    ])
  }

  static func scheme(from config: JSONObject, bits: Int, layout: String) throws -> Scheme? {
    let method = (config["quant_method"] ?? config["method"])?.string?.lowercased()
    let reader = ConfigReader(config, at: "quantization config", rules: rules)
    let is4 = try reader.bool(["load_in_4bit", "_load_in_4bit"]) ?? false
    let is8 = try reader.bool(["load_in_8bit", "_load_in_8bit"]) ?? false
    guard method == "bitsandbytes" || method == nil && (is4 || is8) else { return nil }
    guard is4 != is8 else {
      throw Failure(
        .malformed, at: reader.place, "the width of bitsandbytes",
        expected: "one of load_in_4bit and load_in_8bit", found: is4 ? "both" : "neither",
        rule: "BNB-31")
    }
    guard bits == (is4 ? 4 : 8) else { return nil }
    try check(reader)
    let skipped = try skippedModules(reader)
    return Scheme(
      layout: layout,
      defaults: Scheme.Settings(
        bits: bits, groupSize: bits == 4 ? 64 : -1, symmetric: true, dialect: kept(config)),
      overrides: skipped ?? [],
      // Without a list the loader leaves the head out by itself.
      quantizesHead: skipped != nil)
  }

  /// The keys of the dialect as the config spells them.
  private static func kept(_ config: JSONObject) -> JSONObject {
    var kept = JSONObject()
    for member in config.members where member.key != "quant_method" && member.key != "meta" {
      kept[member.key] = member.value
    }
    return kept
  }

  /// BNB-30 and BNB-31: types and values.
  private static func check(_ reader: ConfigReader) throws {
    for key in [
      "bnb_4bit_use_double_quant", "llm_int8_enable_fp32_cpu_offload", "llm_int8_has_fp16_weight",
    ] {
      _ = try reader.bool([key])
    }
    if let value = reader.object["llm_int8_threshold"], !value.isNull, value.double == nil {
      throw reader.wrongType("llm_int8_threshold", "a number")
    }
    try checkName("bnb_4bit_quant_type", ["nf4", "fp4"], reader)
    try checkName("bnb_4bit_compute_dtype", QuantState.types.map(\.name), reader)
    try checkName("bnb_4bit_quant_storage", QuantState.storages.map(\.name), reader)
  }

  private static func checkName(
    _ key: String, _ names: [String], _ reader: ConfigReader
  ) throws {
    guard let text = try reader.string([key]) else { return }
    guard names.contains(text) else { throw reader.unsupported("\(key) \(text)") }
  }

  /// Modules to leave dense as transformers takes them: an expression that matches from the start up
  /// to the end of a part of the name, or an end of the name. nil where there is no list.
  private static func skippedModules(_ reader: ConfigReader) throws -> [Scheme.Override]? {
    guard let value = reader.object[skipKey], !value.isNull else { return nil }
    guard let texts = value.array?.map(\.string), !texts.contains(nil) else {
      throw reader.wrongType(skipKey, "a list of strings")
    }
    return texts.compactMap(\.self).map { text in
      let end = text.hasSuffix(".") ? "" : #"(?:\.|$)"#
      let pattern = "(?:\(text))\(end)|.*\(text.escapedForRegex)$"
      let expression = try? NamePattern(pattern, at: reader.place)
      return Scheme.Override(expression.map(ModulePattern.regex) ?? .contains(text), nil)
    }
  }

  static func config(for scheme: Scheme, bits: Int) -> JSONObject {
    var config = JSONObject()
    let known = scheme.defaults.dialect
    let all = defaults(bits: bits)
    for member in known.members.isEmpty ? all.members : known.members {
      config[member.key] = member.value
    }
    for key in ["_load_in_4bit", "_load_in_8bit", "load_in_4bit", "load_in_8bit"]
    where config[key] != nil || !key.hasPrefix("_") {
      config[key] = all[key]
    }
    config[skipKey] = skipList(scheme, known: known[skipKey])
    config["quant_method"] = "bitsandbytes"
    return config
  }

  /// The list of the source with what it lacks; null where the head alone is dense.
  private static func skipList(_ scheme: Scheme, known: JSON?) -> JSON {
    let own = known?.array?.compactMap(\.string)
    let dense = scheme.overrides.filter { $0.settings == nil }.map(\.modules.asSkip)
    let missing = dense.filter { name in !(own ?? []).contains { name.hasSuffix($0) } }
    guard own != nil || !missing.isEmpty || scheme.quantizesHead else { return .null }
    let head = scheme.quantizesHead || (own ?? []).contains("lm_head") ? [] : ["lm_head"]
    return .strings((own ?? []) + missing + head)
  }
}

extension ModulePattern {
  /// The pattern as an entry of `llm_int8_skip_modules`.
  fileprivate var asSkip: String {
    switch self {
    case .exactly(let name), .contains(let name): name
    case .regex: asRegex
    }
  }
}

extension BitsAndBytesDialect {
  /// BNB-32: what loaders take from the config although the tensors say it.
  static func findings(on weight: BitsAndBytesWeight, declared: Declared) -> [Finding] {
    guard declared.scheme?.layout == BitsAndBytes.layout, let dialect = declared.settings?.dialect,
      !dialect.members.isEmpty
    else { return [] }
    let storage = QuantState.storages.first { $0.type == weight.packed.dtype }?.name ?? ""
    return [
      finding(
        weight.module, "bnb_4bit_quant_type", dialect, usual: "fp4",
        found: weight.state.kind.rawValue),
      finding(
        weight.module, "bnb_4bit_quant_storage", dialect, usual: "uint8", found: storage),
    ].compactMap(\.self)
  }

  private static func finding(
    _ module: String, _ key: String, _ dialect: JSONObject, usual: String, found: String
  ) -> Finding? {
    let expected = dialect[key]?.string ?? usual
    guard expected != found else { return nil }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on \(key)", expected: expected,
      found: found, rule: "BNB-32")
    return Finding(.warning, failure, names: [module])
  }
}
