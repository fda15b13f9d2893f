internal import Kernels
public import TensorCore

/// The integer formats of compressed-tensors (`Formats/compressed-tensors.md`): `pack-quantized`,
/// codes of 1 to 8 bits in one bit stream along the inputs of each output, and `int-quantized`, one
/// signed byte a code.
public struct CompressedTensors: Codec {
  public let name = "compressed-tensors"
  public let configRule = "CT-15"
  public var describesEachLayer: Bool { true }
  public var keepsOrder: Bool { true }
  public var habits: FileHabits {
    var habits = FileHabits()
    habits.hasOwnConfigFile = false
    return habits
  }
  public var scaleTypes: [DType] { [.f16, .bf16, .f32] }

  public init() {}

  public func candidates(in table: TensorTable) -> [String] {
    Set(table.modules(with: "weight_packed") + table.modules(with: "weight_scale")).sorted {
      $0.utf8.lexicographicallyPrecedes($1.utf8)
    }
  }

  public func claims(
    _ module: String, in table: TensorTable, declared: Declared
  ) throws -> [LayerClaim] {
    guard let weight = try CompressedWeight(module, in: table, declared: declared) else {
      return []
    }
    let settings = declared.scheme?.layout == name ? declared.settings : nil
    let (size, findings) = try weight.groupSize(declared: settings)
    let claim = LayerClaim(
      name: module, layout: name, rows: weight.rows, columns: weight.columns, bits: weight.bits,
      groupSize: size, parts: weight.parts,
      findings: findings + weight.checkFormat(declared: settings))
    return [claim]
  }

  public func open(
    _ claim: LayerClaim, scheme: Scheme?, assume: ZeroRule?
  ) throws -> any PackedLayer {
    let settings = scheme?.rules().settings(for: claim.name)
    let table = TensorTable(Array(claim.parts.values))
    let declared = Declared(scheme: scheme, settings: settings)
    guard let weight = try CompressedWeight(claim.name, in: table, declared: declared) else {
      throw Failure(.internal, at: claim.name, "a claimed layer lost its parts")
    }
    return try CompressedTensorsLayer(claim, weight)
  }

  public func refusal(of layer: LayerFacts) -> Refusal? {
    guard case .affine(let bits) = layer.form.grid, (1...8).contains(bits) else {
      return Refusal(
        "its codes stand for values of a table, and \(name) packs whole numbers",
        remedy: "--to dense", rule: "CT-1")
    }
    guard let zeros = layer.zeros else { return .noWholeZeros(target: name, rule: "CT-6") }
    guard zeros.upperBound < 1 << bits else {
      return Refusal(
        "a zero point of \(zeros.upperBound) does not fit \(bits) bits",
        remedy: "--assume-zeros mask reads full fields as 0", rule: "CT-6")
    }
    guard scaleTypes.contains(layer.form.scaleType) else {
      return Refusal(
        "scales are \(layer.form.scaleType)", remedy: "F16, BF16 or F32 scales", rule: "CT-4")
    }
    return nil
  }
}
