public import Kernels
public import TensorCore

/// The weights of LLM.int8() (`Formats/bitsandbytes.md`, BNB-20 to BNB-24): signed bytes and the
/// maximum of each row.
public struct BitsAndBytesInt8: Codec {
  public static let layout = "bnb-int8"
  public let name = BitsAndBytesInt8.layout
  public let configRule = "BNB-32"
  public let scaleRule = "BNB-12"
  public var scaleTypes: [DType] { [.f32] }
  public var habits: FileHabits { BitsAndBytesDialect.habits }

  public init() {}

  /// Why a layout without a factor can't hold a layer.
  public static let unfolded = Refusal(
    "its weights are code · maximum · 1/127, rounded twice, which no scale of the target's types "
      + "gives bit for bit",
    remedy: "--to dense, or --allow-requantize to round anew", rule: "BNB-24")

  public func candidates(in table: TensorTable) -> [String] {
    let bytes = table.modules(with: "weight").filter { table["\($0).weight"]?.dtype == .i8 }
    let modules = Set(bytes + table.modules(with: "SCB") + table.modules(with: "weight_format"))
    return modules.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    let isDeclared = declared.scheme?.layout == name && declared.settings != nil
    guard isDeclared || table.contains("\(module).SCB") || table.contains("\(module).weight_format")
    else { return [] }
    let weight = try Int8Weight(module, in: table)
    return [
      LayerClaim(
        name: module, layout: name, rows: weight.rows, columns: weight.columns, bits: 8,
        groupSize: weight.columns, parts: weight.parts)
    ]
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    BitsAndBytesInt8Layer(
      claim, try Int8Weight(claim.name, in: TensorTable(Array(claim.parts.values))))
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    if form.grid == .int8, form.factor == Grid.int8Factor, form.groups == 1, form.offset == .none,
      form.scaleType == .f32
    {
      return nil
    }
    return Refusal(
      "its weights are not code · maximum · 1/127 of signed bytes, bit for bit",
      remedy: "--to dense; 8-bit symmetric layers with one scale a row mostly are",
      rule: "BNB-23")
  }

  /// Symmetric codes of 8 bits under one scale a row.
  public func adopted(
    _ layer: any PackedLayer, _ workspace: Workspace
  ) throws -> (any PackedLayer)? {
    guard layer.form.grid == .affine(bits: 8), layer.form.groups == 1,
      !layer.form.grouping.isPermuted, try LayerFacts(of: layer, workspace).isSymmetric
    else { return nil }
    return try UnfoldedFactor(layer, workspace)
  }

  public func scheme(from config: JSONObject) throws -> Scheme? {
    try BitsAndBytesDialect.scheme(from: config, bits: 8, layout: name)
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    BitsAndBytesDialect.config(for: scheme, bits: 8)
  }

  /// BNB-20: a layer of this layout keeps its own bytes.
  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    if let own = layer as? BitsAndBytesInt8Layer {
      return own.claim.parts.values.map { EncodedPart(copying: $0) }
    }
    let form = layer.form
    return [
      try .init(
        "\(layer.name).weight", .i8, [form.rows, form.columns], alignment: Region.alignment,
        order: .outputMajor
      ) { rows, bytes, workspace in
        let region = Region(rows: rows, columns: 0..<form.columns)
        try layer.readCodes(region, .outputMajor, into: &bytes, workspace)
        Bytes.shift(&bytes, adding: 128)
      },
      try .init("\(layer.name).SCB", .f32, [form.rows], alignment: Region.alignment) {
        rows, bytes, workspace in
        let region = Region(rows: rows, columns: 0..<1)
        try layer.readFloatScales(region, .outputMajor, into: &bytes, workspace)
      },
      try .init("\(layer.name).weight_format", .u8, []) { _, bytes, _ in
        bytes.set(UInt8(0), at: 0)
      },
    ]
  }
}
