internal import Kernels
public import TensorCore

/// HQQ (`Formats/hqq.md`): codes in slices of the flat matrix, real zero points, groups of flat
/// neighbours (axis 1) or of flat elements one stride apart (axis 0). Read only.
public struct HQQ: Codec {
  public let name = "hqq"
  public let configRule = "HQQ-3"
  public let isWritable = false

  public init() {}

  public func candidates(in table: TensorTable) -> [String] {
    table.modules(with: "W_q")
  }

  /// Shape, width and packing of a layer are tensors themselves, some 40 bytes: they are read.
  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    guard table.contains("\(module).W_q") else { return [] }
    let facts = try HQQFacts(module, in: table)
    let findings = Finding.bits(
      facts.bits, declared: declared.settings, module: module, rule: "HQQ-3")
    let size = declared.settings.map { $0.groupSize == -1 ? facts.columns : $0.groupSize }
    let stated = facts.span.groupSize
    let sizes = size.flatMap { size -> [Finding]? in
      guard let stated, size != stated else { return nil }
      let failure = Failure(
        .malformed, at: module, "the config and the tensors disagree on group_size",
        expected: "\(size)", found: "\(stated)", rule: "HQQ-4")
      return [Finding(.error, failure, names: [module])]
    }
    return [
      LayerClaim(
        name: module, layout: name, rows: facts.rows, columns: facts.columns, bits: facts.bits,
        groupSize: facts.span.columns, parts: facts.parts, findings: findings + (sizes ?? []))
    ]
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    let table = TensorTable(Array(claim.parts.values))
    return try HQQLayer(claim, HQQFacts(claim.name, in: table))
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    Refusal("HQQ is read only", remedy: "--to dense", rule: "HQQ-1")
  }

  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    throw readOnly(layer.name)
  }

  private func readOnly(_ place: String) -> Failure {
    Failure(
      .cannotRepresent, at: place, "HQQ is read only", rule: "HQQ-1", remedy: "--to dense")
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    throw readOnly("quantization config")
  }

  public func scheme(from config: JSONObject) throws -> Scheme? {
    guard (config["quant_method"] ?? config["method"])?.string?.lowercased() == "hqq" else {
      return nil
    }
    let rules = ConfigReader.Rules(type: "HQQ-10", support: "HQQ-10")
    let reader = ConfigReader(config, at: "quantization config", rules: rules)
    let quant = config["quant_config"]?.object ?? JSONObject()
    let skipped = (config["skip_modules"]?.array ?? []).compactMap(\.string)
    let byTag = try quant.members.compactMap { member -> Scheme.Override? in
      guard let object = member.value.object, let settings = try Self.settings(object, rules)
      else { return nil }
      return member.key == "weight_quant_params"
        ? nil : Scheme.Override(.contains(member.key), settings)
    }
    let weights = quant["weight_quant_params"]?.object ?? quant
    return Scheme(
      layout: name,
      defaults: try Self.settings(weights, rules)
        ?? Scheme.Settings(bits: 4, groupSize: 64, symmetric: false),
      overrides: skipped.map { Scheme.Override(.contains($0), nil) } + byTag,
      quantizesHead: try reader.bool(["lm_head"]) ?? false, writer: reader.writer)
  }

  /// nil where the object says nothing of widths; `weight_quant_params` may be one level further in.
  private static func settings(
    _ object: JSONObject, _ rules: ConfigReader.Rules
  ) throws -> Scheme.Settings? {
    let inner = object["weight_quant_params"]?.object ?? object
    let reader = ConfigReader(inner, at: "quant_config", rules: rules)
    guard let bits = try reader.int(["nbits"]) else { return nil }
    return Scheme.Settings(
      bits: bits, groupSize: try reader.int(["group_size"]) ?? -1, symmetric: false)
  }
}
