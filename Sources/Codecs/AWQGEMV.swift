internal import Kernels
public import TensorCore

/// AWQ's GEMV layout (`Formats/awq_gemv.md`): 4-bit codes in little-endian streams along each
/// output, zero points and scales padded to whole words of groups.
public struct AWQGEMV: Codec {
  public let name = "awq_gemv"
  public let configRule = AWQ.disagreement
  public let scaleTypes = [DType.f16]

  public init() {}

  public func candidates(in table: TensorTable) -> [String] {
    table.modules(with: "qweight")
  }

  /// GEMV-2: `qweight` and `scales` have a row for each output. GPTQ layers of 4 bits in groups of
  /// eight look alike: a group index, or a config that names GPTQ, makes them GPTQ.
  static func fits(_ module: String, in table: TensorTable, _ scheme: Scheme?) -> Bool {
    guard let qweight = table["\(module).qweight"], qweight.dtype == .i32,
      let rows = qweight.shape.matrix?.rows, table["\(module).scales"]?.shape.matrix?.rows == rows,
      !table.contains("\(module).g_idx")
    else { return false }
    return scheme.map { !$0.layout.hasPrefix("gptq") } ?? true
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    guard Self.fits(module, in: table, declared.scheme), let qweight = table["\(module).qweight"],
      let scales = table["\(module).scales"], let (rows, words) = qweight.shape.matrix,
      let columns = words.multiplied(by: 8)
    else { return [] }
    guard let qzeros = table["\(module).qzeros"] else {
      throw Failure(
        .malformed, at: qweight.source.path, "layer \(module) is incomplete",
        expected: "a tensor \(module).qzeros beside its qweight", found: "none", rule: "GEMV-1")
    }
    let width = try checkedWidth(rows: rows, columns: columns, qzeros, scales)
    let (size, findings) = try PaddedGroups.size(
      columns: columns, width: width, declared: declared.settings, module: module, rule: "GEMV-3")
    return [
      LayerClaim(
        name: module, layout: name, rows: rows, columns: columns, bits: 4, groupSize: size,
        parts: ["qweight": qweight, "qzeros": qzeros, "scales": scales],
        findings: findings
          + Finding.bits(4, declared: declared.settings, module: module, rule: "GEMV-1"))
    ]
  }

  /// GEMV-2: words of zero points in a row, after the shapes and types of the parts.
  private func checkedWidth(
    rows: Int, columns: Int, _ qzeros: Tensor, _ scales: Tensor
  ) throws -> Int {
    guard rows > 0, columns > 0, qzeros.dtype == .i32, let zeros = qzeros.shape.matrix,
      zeros.rows == rows, zeros.columns.multiplied(by: 8) == scales.shape[1]
    else {
      throw Failure(
        .malformed, at: qzeros.place, "zero points don't fit codes and scales",
        expected: "I32 [\(rows), \(scales.shape[1]) / 8]",
        found: "\(qzeros.dtype) \(qzeros.shape)", rule: "GEMV-2")
    }
    guard [.f16, .bf16, .f32].contains(scales.dtype) else {
      throw Failure(
        .malformed, at: scales.place, "the type of the scales", expected: "F16, BF16 or F32",
        found: scales.dtype.rawValue, rule: "GEMV-2")
    }
    return zeros.columns
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    try AWQGEMVLayer(claim)
  }

  public func scheme(from config: JSONObject) throws -> Scheme? {
    try AWQDialect.scheme(from: config, layout: name)
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    try AWQDialect.config(for: scheme, version: "gemv")
  }
}

extension Finding {
  /// A finding where the config declares another bit width than the layout has.
  static func bits(
    _ bits: Int, declared: Scheme.Settings?, module: String, rule: String
  ) -> [Finding] {
    guard let declared, declared.bits != bits else { return [] }
    let failure = Failure(
      .malformed, at: module, "the config and the tensors disagree on bits",
      expected: "\(declared.bits)", found: "\(bits)", rule: rule)
    return [Finding(.error, failure, names: [module])]
  }
}
