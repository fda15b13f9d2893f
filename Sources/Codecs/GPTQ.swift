internal import Kernels
internal import TensorCore

/// GPTQ as AutoGPTQ defined it and GPTQModel writes it (`Formats/gptq.md`): `qweight` and `qzeros`
/// in 32-bit words, codes down the rows, 2, 3, 4 and 8 bits.
///
/// Version 1 stores zero points minus one, version 2 stores them as they are.
public struct GPTQ: Codec {
  public enum Version: String, Sendable, CaseIterable {
    case v1, v2

    /// The version the config does not name when it names this one.
    public var other: Version { self == .v1 ? .v2 : .v1 }
    public var codec: GPTQ { self == .v1 ? .v1 : .v2 }
  }

  public static let v1 = GPTQ(version: .v1)
  public static let v2 = GPTQ(version: .v2)
  static let widths = [2, 3, 4, 8]

  let version: Version

  public var name: String { version == .v1 ? "gptq" : "gptq_v2" }
  public var configRule: String { "GPTQ-24" }
  public var keepsOrder: Bool { true }
  public var describesMixtures: Bool { true }

  public func candidates(in table: TensorTable) -> [String] {
    table.modules(with: "qweight")
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    // Shapes do not show the version: without a config's word it is 1, as loaders take it.
    guard (declared.scheme?.layout == "gptq_v2") == (version == .v2),
      let weight = try QWeight(module, in: table, declared.scheme), weight.layout == .gptq
    else { return [] }
    return [try claim(weight, declared: declared.settings)]
  }

  private func claim(_ weight: QWeight, declared: Scheme.Settings?) throws -> LayerClaim {
    let bits = try bits(of: weight)
    let columns = try columns(of: weight, bits: bits)
    let (size, findings) = try weight.groupSize(columns: columns, declared: declared)
    return LayerClaim(
      name: weight.module, layout: name, rows: weight.outputs, columns: columns, bits: bits,
      groupSize: size, parts: weight.parts,
      findings: findings + weight.checkBits(bits, declared: declared))
  }

  /// GPTQ-3: `qzeros` has outputs × bits / word bits words a row, which gives the bits.
  private func bits(of weight: QWeight) throws -> Int {
    let words = weight.qzeros.shape[1]
    if let stored = words.multiplied(by: weight.wordBits) {
      for bits in Self.widths where weight.outputs.multiplied(by: bits) == stored {
        guard bits != 3 || weight.wordType == .i32 else {
          throw Failure(
            .unsupported, at: weight.qzeros.place, "codes of 3 bits in narrow words",
            expected: "I32", found: weight.wordType.rawValue, rule: "GPTQ-27")
        }
        return bits
      }
    }
    throw Failure(
      .malformed, at: weight.qzeros.place, "the width of the zero points fits no bit width",
      expected: "\(weight.outputs) fields of 2, 3, 4 or 8 bits a row", found: "\(words) words",
      rule: "GPTQ-3")
  }

  /// GPTQ-2: `qweight` has columns × bits / 32 rows.
  private func columns(of weight: QWeight, bits: Int) throws -> Int {
    let rows = weight.qweight.shape[0]
    guard let total = rows.multiplied(by: 32), total % bits == 0 else {
      throw Failure(
        .malformed, at: weight.qweight.place, "codes do not fill the words",
        expected: "a multiple of \(bits) words down each column", found: "\(rows)", rule: "GPTQ-2")
    }
    guard let index = weight.groupIndex else { return total / bits }
    guard index.dtype == .i32, index.shape.dimensions == [total / bits] else {
      throw Failure(
        .malformed, at: index.place, "the group index doesn't fit qweight",
        expected: "I32 [\(total / bits)]", found: "\(index.dtype) \(index.shape)", rule: "GPTQ-5")
    }
    return total / bits
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    if version == .v2, let scheme, scheme.layout == name,
      AutoRoundDialect.mayMeanVersionOne(scheme),
      try ZeroRule.isMiddleOfVersionOne(claim)
    {
      return try GPTQLayer(claim, zeroRule: .mask, isSettled: true)
    }
    let known = ZeroRule.known(writer: scheme?.writer, bits: claim.bits)
    let assumed = assume == .word && claim.bits == 3 ? .mask : assume
    return try GPTQLayer(
      claim, zeroRule: version == .v2 ? .stored : known ?? assumed ?? .mask,
      isSettled: version == .v2 || known != nil || assumed != nil)
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    let form = layer.form
    let bits = form.grid.bits
    guard Self.widths.contains(bits) else {
      return Refusal("GPTQ has no \(bits)-bit codes", remedy: "bits 2, 3, 4 or 8", rule: "GPTQ-3")
    }
    guard form.rows * bits % 32 == 0 && form.columns * bits % 32 == 0 else {
      return Refusal(
        "\(form.rows) × \(form.columns) codes of \(bits) bits do not fill 32-bit words",
        remedy: "a layout with padded rows", rule: "GPTQ-2")
    }
    let fields = version == .v1 ? 1...(1 << bits) - 1 : 0...(1 << bits) - 1
    guard let zeros = layer.zeros else { return .noWholeZeros(target: name, rule: "GPTQ-10") }
    guard fields.contains(zeros.lowerBound) && fields.contains(zeros.upperBound) else {
      let zero = fields.contains(zeros.lowerBound) ? zeros.upperBound : 0
      let fitsV2 = version == .v1 && zero == 0
      return Refusal(
        "a zero point of \(zero) has no safe form in \(name)",
        remedy: fitsV2 ? "--to gptq_v2 holds it" : "no GPTQ version holds it",
        rule: version == .v1 ? "GPTQ-11" : "GPTQ-10")
    }
    guard form.scaleType == .f16 || form.scaleType == .bf16 else {
      return Refusal(
        "scales are \(form.scaleType)", remedy: "F16 or BF16 scales", rule: "GPTQ-2")
    }
    return nil
  }
}
