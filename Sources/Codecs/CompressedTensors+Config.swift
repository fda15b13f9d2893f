public import TensorCore

extension CompressedTensors {
  public func scheme(from config: JSONObject) throws -> Scheme? {
    guard (config["quant_method"] ?? config["method"])?.string?.lowercased() == name else {
      return nil
    }
    let reader = ConfigReader(
      config, at: "quantization config", rules: CompressedDialect.rules)
    try CompressedDialect.checkSupport(reader)
    let groups = try CompressedDialect.groups(reader)
    let ignored = try CompressedDialect.patterns(reader, "ignore").map { Scheme.Override($0, nil) }
    let general = groups.first { $0.takesAllLinear }
    // Without a group for all linear layers, what no group names is dense.
    let rest = general == nil ? [Scheme.Override(try .all(at: reader.place), nil)] : []
    let named = groups.filter { $0.settings != general?.settings || !$0.takesAllLinear }
    return Scheme(
      layout: name,
      defaults: general?.settings ?? groups.compactMap(\.settings).first
        ?? Scheme.Settings(bits: 8, groupSize: -1, symmetric: true),
      // CT-12: what is ignored is dense whatever names it; names go before expressions.
      overrides: ignored + named.flatMap(\.exact) + named.flatMap(\.expressions) + rest,
      quantizesHead: true,
      writer: try reader.string(["version"]).map { "\(name):\($0)" })
  }

  /// CT-22: one group for all linear layers, one for each kind of exception by exact names.
  public func config(for scheme: Scheme) throws -> JSONObject {
    var groups = JSONObject(["group_0": CompressedDialect.group(scheme.defaults, ["Linear"])])
    var settings: [Scheme.Settings] = [scheme.defaults]
    var targets: [[String]] = [["Linear"]]
    for exception in scheme.overrides {
      guard let own = exception.settings, own != scheme.defaults else { continue }
      if let index = settings.firstIndex(of: own) {
        targets[index].append(exception.modules.asTarget)
      } else {
        settings.append(own)
        targets.append([exception.modules.asTarget])
      }
    }
    for (index, own) in settings.enumerated() {
      groups["group_\(index)"] = CompressedDialect.group(own, targets[index])
    }
    let formats = Set(settings.map(CompressedDialect.format))
    var ignored = scheme.overrides.filter { $0.settings == nil }.map(\.modules.asTarget)
    if !scheme.quantizesHead { ignored.append("lm_head") }
    return JSONObject([
      "config_groups": .object(groups),
      "format": .string(formats.count == 1 ? formats.first ?? "" : "mixed-precision"),
      "global_compression_ratio": .null,
      "ignore": .strings(ignored),
      "kv_cache_scheme": .null,
      "quant_method": .string(name),
      "quantization_status": "compressed",
      "sparsity_config": [:],
      "transform_config": [:],
      // The packing of 3, 5, 6 and 7 bits is that of 0.17 and later.
      "version": "0.19.0",
    ])
  }
}

/// The dialect of compressed-tensors (`Formats/compressed-tensors.md`, CT-10 to CT-13).
enum CompressedDialect {
  static let rules = ConfigReader.Rules(type: "CT-10", support: "CT-13")

  /// One entry of `config_groups`.
  struct Group {
    /// nil leaves the modules dense.
    let settings: Scheme.Settings?
    let targets: [ModulePattern]
    let takesAllLinear: Bool

    var exact: [Scheme.Override] { overrides { if case .exactly = $0 { true } else { false } } }
    var expressions: [Scheme.Override] {
      overrides { if case .exactly = $0 { false } else { true } }
    }

    private func overrides(_ belongs: (ModulePattern) -> Bool) -> [Scheme.Override] {
      targets.filter(belongs).map { Scheme.Override($0, settings) }
    }
  }

  static let formats: Set<String> = [
    "dense", "int-quantized", "float-quantized", "naive-quantized", "pack-quantized",
    "nvfp4-pack-quantized", "mxfp4-pack-quantized", "mxfp8-quantized", "mixed-precision",
  ]

  /// CT-13: rotated or pruned weights are more than codes and scales.
  static func checkSupport(_ reader: ConfigReader) throws {
    try checkFormat(reader)
    if let transform = reader.object["transform_config"]?.object,
      transform["config_groups"]?.object?.members.isEmpty == false
    {
      throw reader.unsupported("transform_config, which rotates the weights,")
    }
    let sparsity = reader.object["sparsity_config"]?.object
    if let format = sparsity?["format"]?.string, format != "dense" {
      throw reader.unsupported("sparsity_config of format \(format)")
    }
  }

  @discardableResult
  private static func checkFormat(_ reader: ConfigReader) throws -> String? {
    guard let format = try reader.string(["format"]) else { return nil }
    guard formats.contains(format) else { throw reader.unsupported("the format \(format)") }
    return format
  }

  static func groups(_ reader: ConfigReader) throws -> [Group] {
    guard let groups = reader.object["config_groups"], !groups.isNull else { return [] }
    guard let groups = groups.object else {
      throw reader.wrongType("config_groups", "an object")
    }
    let format = try reader.string(["format"])
    return try groups.members.map { member in
      let place = "config_groups \(member.key)"
      if member.value.array != nil {
        let own = ConfigReader(groups, at: reader.place, rules: rules)
        return try group(CompressedPreset.settings(member.key, own), own, member.key)
      }
      guard let object = member.value.object else {
        throw ConfigReader(groups, at: reader.place, rules: rules)
          .wrongType(member.key, "an object or a list of targets")
      }
      let own = ConfigReader(object, at: place, rules: rules)
      let ownFormat = try checkFormat(own)
      return try group(settings(own, format: ownFormat ?? format), own, "targets")
    }
  }

  private static func group(
    _ settings: Scheme.Settings?, _ reader: ConfigReader, _ targetsKey: String
  ) throws -> Group {
    let targets = try patterns(reader, targetsKey)
    let classes = targets.filter(\.isClass)
    return Group(
      settings: settings, targets: targets.filter { !$0.isClass },
      takesAllLinear: settings != nil && !classes.isEmpty)
  }

  /// CT-11: names, `re:` expressions that match from the start, and classes of modules.
  static func patterns(_ reader: ConfigReader, _ key: String) throws -> [ModulePattern] {
    guard let value = reader.object[key], !value.isNull else { return [] }
    guard let texts = value.array?.map(\.string), !texts.contains(nil) else {
      throw reader.wrongType(key, "a list of strings")
    }
    return try texts.compactMap(\.self).map { text in
      guard text.hasPrefix("re:") else { return .exactly(text) }
      let expression = String(text.dropFirst("re:".count))
      return .regex(try NamePattern(expression, at: reader.place, rule: "CT-11"))
    }
  }

  private static func settings(
    _ group: ConfigReader, format: String?
  ) throws -> Scheme.Settings? {
    guard let value = group.object["weights"], !value.isNull else { return nil }
    guard let object = value.object else { throw group.wrongType("weights", "an object") }
    let weights = ConfigReader(object, at: group.place + " weights", rules: rules)
    var dialect = JSONObject()
    if let format, format != "mixed-precision" { dialect["format"] = .string(format) }
    for key in ["input_activations", "output_activations"] {
      if let activations = group.object[key], !activations.isNull { dialect[key] = activations }
    }
    if let block = object["block_structure"], !block.isNull { dialect["block_structure"] = block }
    let order = object["actorder"]?.string ?? ""
    return Scheme.Settings(
      bits: try weights.int(["num_bits"]) ?? 8, groupSize: try groupSize(weights),
      symmetric: try weights.bool(["symmetric"]) ?? true,
      actOrder: ["group", "dynamic"].contains(order) || object["actorder"]?.bool == true,
      dialect: dialect)
  }

  private static func groupSize(_ weights: ConfigReader) throws -> Int {
    let size = try weights.int(["group_size"])
    let strategy = try weights.string(["strategy"])
    switch strategy {
    case "channel", "tensor", "token", "block": return -1
    case "group", "tensor_group", nil: return size.flatMap { $0 > 0 ? $0 : nil } ?? -1
    default: throw weights.unsupported("the strategy \(strategy ?? "") of weights")
    }
  }
}

extension CompressedDialect {
  static func format(_ settings: Scheme.Settings) -> String {
    // A layer that was given other bits is no longer in the format of its source.
    settings.bits == 8 ? settings.dialect["format"]?.string ?? "pack-quantized" : "pack-quantized"
  }

  static func group(_ settings: Scheme.Settings, _ targets: [String]) -> JSON {
    let isWhole = settings.groupSize == -1
    return .object(
      JSONObject([
        "format": .string(format(settings)),
        "input_activations": settings.dialect["input_activations"] ?? .null,
        "output_activations": settings.dialect["output_activations"] ?? .null,
        "targets": .strings(targets),
        "weights": [
          "actorder": settings.actOrder ? "group" : .null,
          "block_structure": .null,
          "dynamic": false,
          "group_size": isWhole ? .null : .integer(settings.groupSize),
          "num_bits": .integer(settings.bits),
          "observer": .null,
          "observer_kwargs": [:],
          "strategy": isWhole ? "channel" : "group",
          "symmetric": .bool(settings.symmetric),
          "type": "int",
        ],
      ]))
  }
}

extension ModulePattern {
  /// A class of modules, such as `Linear`: a name without dots that begins with a capital.
  fileprivate var isClass: Bool {
    guard case .exactly(let name) = self, let first = name.unicodeScalars.first else {
      return false
    }
    return ("A"..."Z").contains(first) && !name.contains(".")
  }

  /// The pattern as a target or an entry of `ignore`.
  fileprivate var asTarget: String {
    if case .exactly(let name) = self { return name }
    return "re:" + asRegex
  }

  fileprivate static func all(at place: String) throws -> ModulePattern {
    .regex(try NamePattern(".*", at: place))
  }
}
