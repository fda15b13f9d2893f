internal import Kernels
public import TensorCore

/// AWQ's GEMV_FAST layout and llm-awq's second one (`Formats/awq_gemv_fast.md`): 4-bit codes of
/// four outputs interleaved in 16-bit words, and instead of zero points terms that are added.
///
/// The two differ in the name of the terms, `qzeros` and `scaled_zeros`, alone.
public struct AWQGEMVFast: Codec {
  public enum Writer: Sendable { case autoAWQ, llmAWQ }

  public static let autoAWQ = AWQGEMVFast(writer: .autoAWQ)
  public static let llmAWQ = AWQGEMVFast(writer: .llmAWQ)

  let writer: Writer

  public var name: String { writer == .autoAWQ ? "awq_gemv_fast" : "llm_awq" }
  public var configRule: String { AWQ.disagreement }
  public var dialects: [String] { ["awq_gemv_fast", "llm_awq"] }
  public var scaleTypes: [DType] { writer == .autoAWQ ? [.f16] : [.f16, .bf16] }
  var terms: String { writer == .autoAWQ ? "qzeros" : "scaled_zeros" }

  public func candidates(in table: TensorTable) -> [String] {
    table.modules(with: "qweight")
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    let isLLMAWQ = table.contains("\(module).scaled_zeros")
    guard let qweight = table["\(module).qweight"], qweight.dtype == .i16,
      isLLMAWQ == (writer == .llmAWQ)
    else { return [] }
    guard let scales = table["\(module).scales"], let terms = table["\(module).\(terms)"] else {
      throw Failure(
        .malformed, at: qweight.source.path, "layer \(module) is incomplete",
        expected: "scales and qzeros or scaled_zeros beside its qweight", found: "one is missing",
        rule: "FAST-1")
    }
    let (rows, columns) = try size(of: qweight)
    let width = try width(rows: rows, scales, terms)
    let (size, findings) = try PaddedGroups.size(
      columns: columns, width: width, declared: declared.settings, module: module, rule: "FAST-3")
    return [
      LayerClaim(
        name: module, layout: name, rows: rows, columns: columns, bits: 4, groupSize: size,
        parts: ["qweight": qweight, "scales": scales, self.terms: terms],
        findings: findings
          + Finding.bits(4, declared: declared.settings, module: module, rule: "FAST-1"))
    ]
  }

  /// FAST-2: four outputs a row, inputs in blocks of 64.
  private func size(of qweight: Tensor) throws -> (rows: Int, columns: Int) {
    guard let (quads, columns) = qweight.shape.matrix, let rows = quads.multiplied(by: 4),
      rows > 0, columns > 0, columns % QuadRows.block == 0
    else {
      throw Failure(
        .malformed, at: qweight.place, "the shape of interleaved codes",
        expected: "[outputs / 4, a multiple of 64]", found: "\(qweight.shape)", rule: "FAST-2")
    }
    return (rows, columns)
  }

  /// FAST-3: scales and terms are alike, `[8 × width, outputs]`.
  private func width(rows: Int, _ scales: Tensor, _ terms: Tensor) throws -> Int {
    guard let shape = scales.shape.matrix, shape.columns == rows, shape.rows > 0,
      shape.rows % 8 == 0
    else {
      throw Failure(
        .malformed, at: scales.place, "scales don't fit the codes",
        expected: "[a multiple of 8, \(rows)]", found: "\(scales.shape)", rule: "FAST-3")
    }
    guard [.f16, .bf16, .f32].contains(scales.dtype), terms.dtype == scales.dtype,
      terms.shape == scales.shape
    else {
      throw Failure(
        .malformed, at: terms.place, "added terms and scales are alike",
        expected: "F16, BF16 or F32 as \(scales.dtype) \(scales.shape)",
        found: "\(terms.dtype) \(terms.shape)", rule: "FAST-3")
    }
    return shape.rows / 8
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    try AWQGEMVFastLayer(claim, terms: terms)
  }

  public func scheme(from config: JSONObject) throws -> Scheme? {
    try AWQDialect.scheme(from: config, layout: name)
  }

  public func config(for scheme: Scheme) throws -> JSONObject {
    try AWQDialect.config(
      for: scheme, version: writer == .autoAWQ ? "gemv_fast" : "llm-awq")
  }
}

/// A GEMV_FAST layer open for reading: codes in bands of outputs.
struct AWQGEMVFastLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let qweight: Tensor
  private let scales: Tensor
  private let terms: Tensor

  init(_ claim: LayerClaim, terms: String) throws {
    self.claim = claim
    qweight = try claim.part("qweight")
    scales = try claim.part("scales")
    self.terms = try claim.part(terms)
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: .affine(bits: 4),
      grouping: .columns(size: claim.groupSize), scaleType: scales.dtype,
      offset: .added(scales.dtype))
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let block = QuadRows.block
    let whole =
      region.columns.lowerBound / block * block..<region.columns.upperBound.dividedRoundingUp(
        by: block) * block
    let quads = region.rows.lowerBound / 4..<region.rows.upperBound / 4
    try workspace.lend(region.rows.count * whole.count / 2) { words in
      try qweight.readRectangle(
        into: &words, rows: quads, rowBytes: claim.columns * 2,
        run: whole.lowerBound * 2..<whole.upperBound * 2)
      if order == .outputMajor && whole == region.columns {
        return QuadRows.unpack(words.bytes, columns: whole.count, into: &codes)
      }
      workspace.lend(region.rows.count * whole.count) { rows in
        QuadRows.unpack(words.bytes, columns: whole.count, into: &rows)
        Self.cut(rows.bytes, whole, region, order, into: &codes, workspace)
      }
    }
  }

  /// Takes the columns of a region out of rows of whole blocks, and turns them where asked.
  private static func cut(
    _ rows: RawSpan, _ whole: Range<Int>, _ region: Region, _ order: Order,
    into codes: inout MutableRawSpan, _ workspace: Workspace
  ) {
    let (height, width) = (region.rows.count, region.columns.count)
    if whole == region.columns {
      return Transpose.bytes(rows, rows: height, columns: width, into: &codes)
    }
    workspace.lend(region.count) { kept in
      let first = region.columns.lowerBound - whole.lowerBound
      for row in 0..<height {
        let start = row * whole.count + first
        var target = kept.part(row * width..<(row + 1) * width)
        target.copy(from: rows.part(start..<start + width))
      }
      switch order {
      case .outputMajor: codes.copy(from: kept.bytes)
      case .inputMajor: Transpose.bytes(kept.bytes, rows: height, columns: width, into: &codes)
      }
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try self.scales.readGroupRows(region, order, columns: claim.rows, into: &scales, workspace)
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try terms.readGroupRows(region, order, columns: claim.rows, into: &offsets, workspace)
  }
}
