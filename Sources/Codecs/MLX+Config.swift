public import TensorCore

extension MLX {
  public func scheme(from config: JSONObject) throws -> Scheme? {
    guard MLXDialect.isSpoken(config) else { return nil }
    let reader = MLXDialect.reader(config, at: "quantization config")
    let defaults = try MLXDialect.settings(reader)
    return Scheme(
      layout: name, defaults: defaults, overrides: try MLXDialect.overrides(reader),
      quantizesHead: true)
  }

  /// MLX-21: layers that differ are named by their whole path.
  public func config(for scheme: Scheme) throws -> JSONObject {
    var config = MLXDialect.words(scheme.defaults)
    for override in scheme.overrides {
      guard case .exactly(let module) = override.modules, config[module] == nil else {
        throw Failure(
          .cannotRepresent, at: "quantization config", "MLX configs name modules one by one",
          found: "\(override.modules)", rule: "MLX-21")
      }
      config[module] = override.settings.map { .object(MLXDialect.words($0)) } ?? false
    }
    return config
  }
}

/// The MLX dialect of the quantization config (`Formats/mlx.md`, MLX-20 to MLX-23).
private enum MLXDialect {
  /// Keys that other dialects have and this one never.
  private static let foreign = [
    "quant_method", "method", "desc_act", "sym", "zero_point", "damp_percent", "version", "w_bit",
  ]

  /// MLX names no method: group size, bits or a mode without a word of another dialect.
  static func isSpoken(_ config: JSONObject) -> Bool {
    guard !foreign.contains(where: { config[$0] != nil }) else { return false }
    return config["mode"] != nil || config["bits"] != nil && config["group_size"] != nil
  }

  static func reader(_ object: JSONObject, at place: String) -> ConfigReader {
    ConfigReader(object, at: place, rules: .init(type: "MLX-20", support: "MLX-22"))
  }

  /// What is left out is as MLX's own defaults for the mode.
  static func settings(_ reader: ConfigReader) throws -> Scheme.Settings {
    let mode = try reader.string(["mode"]) ?? "affine"
    let float = MLXFloatMode(rawValue: mode)
    guard mode == "affine" || float != nil else { throw reader.unsupported("mode \(mode)") }
    return Scheme.Settings(
      bits: try reader.int(["bits"]) ?? float?.bits ?? 4,
      groupSize: try reader.int(["group_size"]) ?? float?.groupSize ?? 64, symmetric: false)
  }

  /// Paths of modules: settings of their own, or false where they are dense.
  static func overrides(_ reader: ConfigReader) throws -> [Scheme.Override] {
    try reader.object.members.compactMap { member in
      switch member.value {
      case .object(let words):
        let settings = try settings(Self.reader(words, at: "\(reader.place) \(member.key)"))
        return Scheme.Override(.exactly(member.key), settings)
      case .bool(false): return Scheme.Override(.exactly(member.key), nil)
      default: return nil
      }
    }
  }

  static func words(_ settings: Scheme.Settings) -> JSONObject {
    JSONObject([
      "group_size": .integer(settings.groupSize), "bits": .integer(settings.bits),
      "mode": "affine",
    ])
  }
}
