public import TensorCore

extension AWQ {
  public func scheme(from config: JSONObject) throws -> Scheme? {
    let reader = ConfigReader(
      config, at: "quantization config",
      rules: ConfigReader.Rules(type: "AWQ-10", support: "AWQ-13"))
    guard (config["quant_method"] ?? config["method"])?.string?.lowercased() == "awq" else {
      return nil
    }
    let version = try reader.string(["version", "format", "checkpoint_format"])?.lowercased()
    guard ["gemm", nil].contains(version) else {
      throw reader.unsupported("AWQ version \(version ?? "")")
    }
    let hasZeroPoint = try reader.bool(["zero_point"]) ?? !(reader.bool(["sym"]) ?? false)
    return Scheme(
      layout: name,
      defaults: Scheme.Settings(
        bits: try reader.int(["bits", "w_bit"]) ?? 4,
        groupSize: try reader.int(["group_size", "q_group_size"]) ?? 128,
        symmetric: !hasZeroPoint),
      overrides: try skipped(reader),
      quantizesHead: try reader.bool(["lm_head"]) ?? false, writer: reader.writer,
      quantizer: reader.quantizer)
  }

  private func skipped(_ reader: ConfigReader) throws -> [Scheme.Override] {
    guard let modules = reader.object["modules_to_not_convert"], !modules.isNull else { return [] }
    guard let names = modules.array?.map(\.string), !names.contains(nil) else {
      throw reader.wrongType("modules_to_not_convert", "a list of strings")
    }
    return names.compactMap(\.self).map { Scheme.Override(.contains($0), nil) }
  }

  /// AWQ-11: loaders read one width and one group size for all layers, and the modules left out.
  public func config(for scheme: Scheme) throws -> JSONObject {
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
      // The file always has qzeros; loaders that see false may skip them.
      "zero_point": true,
      "desc_act": false,
      "lm_head": .bool(scheme.quantizesHead),
      "quant_method": "awq",
      "method": "awq",
      "version": "gemm",
      "format": "gemm",
      "checkpoint_format": "gemm",
      "pack_dtype": "int32",
      "modules_to_not_convert": skipped.isEmpty ? .null : .strings(skipped),
    ])
    if !skipped.isEmpty { config["dynamic"] = .object(dynamic(scheme)) }
    config["meta"] = scheme.meta
    return config
  }

  /// The modules left out once more, for GPTQModel, which reads no `modules_to_not_convert`.
  private func dynamic(_ scheme: Scheme) -> JSONObject {
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
