internal import Kernels
internal import TensorCore

/// AutoRound's own dialect of `quantization_config` (`Formats/autoround.md`): the layouts are those
/// of GPTQ and AWQ, and `packing_format` says which.
enum AutoRoundDialect {
  private static let methods = ["auto-round", "auto_round", "autoround", "intel/auto-round"]
  /// Kernels a format may name behind its layout, which change nothing on disk.
  private static let kernels = ["exllamav2", "triton", "tritonv2", "torch", "ipex", "ark"]
  private static let rules = ConfigReader.Rules(type: "AR-1", support: "AR-2")

  /// nil where the config is not AutoRound's own, or speaks of another layout.
  static func scheme(from config: JSONObject, layout: String) throws -> Scheme? {
    let reader = ConfigReader(config, at: "quantization config", rules: rules)
    guard let method = (config["quant_method"] ?? config["method"])?.string?.lowercased(),
      methods.contains(method), try self.layout(reader) == layout
    else { return nil }
    try checkDataType(reader)
    let defaults = Scheme.Settings(
      bits: try reader.int(["bits"]) ?? 4, groupSize: try reader.int(["group_size"]) ?? 128,
      symmetric: try reader.bool(["sym"]) ?? true)
    let overrides = try overrides(reader, defaults)
    let packsHead = overrides.contains {
      $0.settings != nil && $0.modules.matches("lm_head")
    }
    return Scheme(
      layout: layout, defaults: defaults, overrides: overrides,
      quantizesHead: try reader.bool(["lm_head"]) ?? packsHead,
      writer: reader.writer ?? "auto-round")
  }

  /// AR-2: the last word of `packing_format`, or of `backend` as it was called at first.
  private static func layout(_ reader: ConfigReader) throws -> String {
    let format = try reader.string(["packing_format", "backend"]) ?? "auto_round"
    let words = format.lowercased().split(separator: ":").map(String.init)
      .filter { !kernels.contains($0) }
    switch words.last {
    case "auto_round", "autoround", "auto-round", "gptqmodel", nil: return "gptq_v2"
    case "auto_gptq", "gptq": return "gptq"
    case "auto_awq", "awq": return "awq"
    default: throw reader.unsupported("packing_format \(format)")
    }
  }

  /// AR-2: the layouts hold whole numbers only.
  private static func checkDataType(_ reader: ConfigReader) throws {
    guard let type = try reader.string(["data_type"]), type != "int" else { return }
    guard ["int_sym", "int_asym"].contains(type) else {
      throw reader.unsupported("data_type \(type)")
    }
  }

  /// AR-5: names first, then expressions that are searched for; 16 bits and more leave dense.
  private static func overrides(
    _ reader: ConfigReader, _ defaults: Scheme.Settings
  ) throws -> [Scheme.Override] {
    guard let extra = reader.object["extra_config"], !extra.isNull else { return [] }
    guard let modules = extra.object else { throw reader.wrongType("extra_config", "an object") }
    let rules = try modules.members.map { member in
      guard let keys = member.value.object else {
        throw ConfigReader(modules, at: "extra_config", rules: Self.rules)
          .wrongType(member.key, "an object")
      }
      let changes = ConfigReader(keys, at: "extra_config \(member.key)", rules: Self.rules)
      try checkDataType(changes)
      var settings = defaults
      settings.bits = try changes.int(["bits"]) ?? settings.bits
      settings.groupSize = try changes.int(["group_size"]) ?? settings.groupSize
      settings.symmetric = try changes.bool(["sym"]) ?? settings.symmetric
      return Scheme.Override(
        try pattern(member.key, at: reader.place), settings.bits >= 16 ? nil : settings)
    }
    return rules.filter(\.modules.isName) + rules.filter { !$0.modules.isName }
  }

  private static func pattern(_ key: String, at place: String) throws -> ModulePattern {
    guard key.contains(where: { "*+?^$()[]{}|\\".contains($0) }) else { return .exactly(key) }
    return .regex(try NamePattern(".*(?:\(key))", at: place, rule: "AR-5"))
  }

  /// AR-4: whether the config says both that zero points are stored as they are and that all are
  /// the middle of the codes, so that the file itself shows which version it is.
  static func mayMeanVersionOne(_ scheme: Scheme) -> Bool {
    scheme.defaults.symmetric && scheme.writer?.hasPrefix("auto-round") == true
  }
}

extension ModulePattern {
  fileprivate var isName: Bool {
    if case .exactly = self { true } else { false }
  }
}

extension ZeroRule {
  /// Whether every field holds 2^(bits−1) − 1, the middle of the codes as version 1 stores it.
  /// Reads all fields: bits/group_size of the codes. Throws `io`.
  static func isMiddleOfVersionOne(_ claim: LayerClaim) throws -> Bool {
    let block = try claim.part("qzeros").contents()
    let count = claim.rows * claim.groups
    let workspace = Workspace()
    return workspace.lend(count) { fields in
      BitStream.unpack(bits: claim.bits, block.bytes, into: &fields)
      return Bytes.allEqual(fields.bytes, to: UInt8(1 << (claim.bits - 1) - 1))
    }
  }
}
