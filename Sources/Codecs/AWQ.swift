internal import Kernels
internal import TensorCore

/// AWQ's GEMM layout (`Formats/awq.md`): 4-bit codes packed across the outputs in the order
/// 0, 2, 4, 6, 1, 3, 5, 7, zero points stored as they are.
public struct AWQ: Codec {
  public let name = "awq"
  /// The rule on configs that the whole family shares.
  static let disagreement = "AWQ-12"
  public let configRule = AWQ.disagreement

  public init() {}

  public func candidates(in table: TensorTable) -> [String] {
    table.modules(with: "qweight")
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    guard let weight = try QWeight(module, in: table, declared.scheme), weight.layout == .awqGEMM
    else {
      return []
    }
    return [try claim(weight, declared: declared.settings)]
  }

  private func claim(_ weight: QWeight, declared: Scheme.Settings?) throws -> LayerClaim {
    guard weight.qzeros.shape[1] == weight.qweight.shape[1] else {
      throw Failure(
        .malformed, at: weight.qzeros.place, "zero points don't fit the codes",
        expected: "\(weight.qweight.shape[1]) words a row", found: "\(weight.qzeros.shape[1])",
        rule: "AWQ-2")
    }
    let columns = weight.qweight.shape[0]
    let (size, findings) = try weight.groupSize(columns: columns, declared: declared)
    var parts = weight.parts
    parts["g_idx"] = nil
    return LayerClaim(
      name: weight.module, layout: name, rows: weight.outputs, columns: columns, bits: 4,
      groupSize: size, parts: parts,
      findings: findings + weight.checkBits(4, declared: declared) + surplusIndex(weight))
  }

  /// AWQ-5: the layout has no group index; loaders ignore one, so it must not say anything.
  private func surplusIndex(_ weight: QWeight) -> [Finding] {
    guard let index = weight.groupIndex else { return [] }
    let failure = Failure(
      .malformed, at: index.place, "AWQ has no group index", expected: "no g_idx", found: "one",
      rule: "AWQ-5")
    return [Finding(.error, failure, names: [weight.module])]
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    try AWQLayer(claim)
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    guard form.grid.bits == 4 else {
      return Refusal(
        "AWQ holds 4-bit codes, these have \(form.grid.bits) bits",
        remedy: "--to gptq or gptq_v2", rule: "AWQ-1")
    }
    guard case .columns(let size) = form.grouping else {
      return .activationOrder(target: "AWQ", rule: "AWQ-5")
    }
    guard form.columns % size == 0 else {
      return Refusal(
        "groups of \(size) do not divide \(form.columns) columns", remedy: "--to gptq",
        rule: "AWQ-4")
    }
    guard form.rows % 8 == 0 else {
      return Refusal(
        "\(form.rows) outputs do not fill words of 8", remedy: "--to gptq", rule: "AWQ-2")
    }
    guard let zeros = layer.zeros else { return .noWholeZeros(target: name, rule: "AWQ-3") }
    guard zeros.upperBound <= 15 else {
      return Refusal(
        "a zero point of \(zeros.upperBound) does not fit 4 bits",
        remedy: "--assume-zeros mask reads full fields as 0", rule: "AWQ-3")
    }
    guard form.scaleType == .f16 || form.scaleType == .bf16 else {
      return Refusal("scales are \(form.scaleType)", remedy: "F16 or BF16 scales", rule: "AWQ-2")
    }
    return nil
  }

  public func parts(
    of layer: any PackedLayer, options: EncodingOptions
  ) throws -> [EncodedPart] {
    let form = layer.form
    return [
      try .init(
        "\(layer.name).qweight", .i32, [form.columns, form.rows / 8],
        alignment: Region.alignment, order: .inputMajor
      ) { columns, words, workspace in
        let region = Region(rows: 0..<form.rows, columns: columns)
        try workspace.lend(region.count) { codes in
          try layer.readCodes(region, .inputMajor, into: &codes, workspace)
          InterleavedWords.pack(codes.bytes, into: &words)
        }
      },
      try .init("\(layer.name).qzeros", .i32, [form.groups, form.rows / 8]) {
        groups, words, workspace in
        try layer.withZeroFields(groups, subtracting: 0, workspace) { fields in
          InterleavedWords.pack(fields, into: &words)
        }
      },
      try .scales("\(layer.name).scales", of: layer),
    ]
  }
}

/// An AWQ GEMM layer open for reading: codes in bands of inputs.
struct AWQLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.inputMajor
  private let qweight: Tensor
  private let qzeros: Tensor
  private let scales: Tensor

  init(_ claim: LayerClaim) throws {
    self.claim = claim
    qweight = try claim.part("qweight")
    qzeros = try claim.part("qzeros")
    scales = try claim.part("scales")
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: .affine(bits: 4),
      grouping: .columns(size: claim.groupSize), scaleType: scales.dtype, offset: .integer)
  }

  var interleaved: InterleavedRows? { InterleavedRows(words: qweight, outputs: claim.rows) }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    switch order {
    case .inputMajor: try readFields(of: qweight, region, into: &codes, workspace)
    case .outputMajor:
      try workspace.lend(region.count) { turned in
        try readFields(of: qweight, region, into: &turned, workspace)
        Transpose.bytes(
          turned.bytes, rows: region.columns.count, columns: region.rows.count, into: &codes)
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
    try workspace.lend(region.count) { fields in
      try readFields(of: qzeros, region, into: &fields, workspace)
      workspace.lend(region.count * 2) { zeros in
        Bytes.widen(fields.bytes, into: &zeros)
        zeros.move(into: &offsets, region, order)
      }
    }
  }

  /// Unpacks a rectangle of interleaved nibbles: `[column or group][row]`, one byte each.
  private func readFields(
    of tensor: Tensor, _ region: Region, into fields: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let run = region.rows.lowerBound / 2..<region.rows.upperBound / 2
    try workspace.lend(region.columns.count * run.count) { words in
      try tensor.readRectangle(
        into: &words, rows: region.columns, rowBytes: claim.rows / 2, run: run)
      InterleavedWords.unpack(words.bytes, into: &fields)
    }
  }
}
