internal import Kernels
public import TensorCore

/// bitsandbytes' 4-bit layout (`Formats/bitsandbytes.md`): NF4 and FP4 codes in flat blocks that
/// run over the ends of rows, with plain or packed maxima. LLM.int8() is `BitsAndBytesInt8`.
public struct BitsAndBytes: Codec {
  static let layout = "bnb-4bit"
  public let name = BitsAndBytes.layout
  public let configRule = "BNB-32"
  public let scaleRule = "BNB-12"
  public var scaleTypes: [DType] { [.f32] }
  public var habits: FileHabits { BitsAndBytesDialect.habits }

  public init() {}

  public func candidates(in table: TensorTable) -> [String] {
    var modules: Set<String> = []
    for part in QuantState.Part.all where part != QuantState.Part.weight {
      modules.formUnion(table.modules(with: part))
    }
    // Packed codes that have lost all of their partners.
    modules.formUnion(
      table.modules(with: QuantState.Part.weight).filter { module in
        guard let tensor = table["\(module).weight"] else { return false }
        return tensor.dtype == .u8 && tensor.shape.rank == 2 && tensor.shape[1] == 1
      })
    return modules.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    let isDeclared = declared.scheme?.layout == name && declared.settings != nil
    guard let weight = try BitsAndBytesWeight(module, in: table, isDeclared: isDeclared) else {
      return []
    }
    let findings = BitsAndBytesDialect.findings(on: weight, declared: declared)
    return [weight.claim(findings: findings)]
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    let table = TensorTable(Array(claim.parts.values))
    guard let weight = try BitsAndBytesWeight(claim.name, in: table, isDeclared: false) else {
      throw Failure(.internal, at: claim.name, "a claimed layer lost its parts")
    }
    return try BitsAndBytesLayer(claim, weight)
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    guard QuantState.Kind(form.grid) != nil, form.offset == .none, form.factor == nil else {
      return Refusal(
        "its codes do not stand for the values of NF4 or FP4", remedy: "--to dense", rule: "BNB-13")
    }
    guard case .columns(let size) = form.grouping else {
      return Refusal("its columns are permuted", remedy: "--to dense", rule: "BNB-13")
    }
    // A layer of this layout keeps blocks that run over the ends of rows.
    guard form.groups == 1 || form.columns % size == 0, form.scaleType == .f32 else {
      return Refusal(
        "its groups are no blocks of the flat weight", remedy: "--to dense", rule: "BNB-4")
    }
    return nil
  }

  public func scheme(from config: JSONObject) throws -> Scheme? {
    try BitsAndBytesDialect.scheme(from: config, bits: 4, layout: name)
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    BitsAndBytesDialect.config(for: scheme, bits: 4)
  }
}

extension QuantState.Kind {
  /// The table of a grid; nil where it is neither.
  init?(_ grid: Grid) {
    guard let kind = Self.allCases.first(where: { $0.grid == grid }) else { return nil }
    self = kind
  }
}
