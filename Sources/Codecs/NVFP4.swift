import Kernels
import TensorCore

extension FloatCodec {
  /// NVFP4 (`Formats/nvfp4.md`): E2M1 codes, an E4M3 scale for 16 inputs and one for the whole.
  public static let nvfp4 = FloatCodec(
    "nvfp4", suffixes: [".weight", ".weight_packed", "_scale_2"], dialect: ModelOptDialect.nvfp4
  ) { module, table, _ in
    try NVFP4.compressed(module, table) ?? NVFP4.modelOpt(module, table)
  }
}

private enum NVFP4 {
  private static let rules = FloatWeight.Rules(parts: "NVFP4-1", scales: "NVFP4-2")

  /// NVFP4-3: compressed-tensors divides by its `weight_global_scale`.
  static func compressed(_ module: String, _ table: TensorTable) throws -> FloatWeight? {
    guard let codes = table["\(module).weight_packed"], codes.dtype == .u8,
      let scale = table["\(module).weight_scale"], scale.dtype == .f8e4m3
    else { return nil }
    var weight = try weight(module, codes, scale, table)
    weight.scaling = .divided(
      by: try factor("\(module).weight_global_scale", of: weight, table))
    return weight
  }

  /// NVFP4-4: ModelOpt multiplies with its `weight_scale_2`.
  static func modelOpt(_ module: String, _ table: TensorTable) throws -> FloatWeight? {
    guard let codes = table.first(["\(module).weight", module]), codes.dtype == .u8,
      codes.shape.rank > 1
    else { return nil }
    let prefixes = codes.name == module ? [module, module + "_weight"] : [module + ".weight"]
    guard let prefix = prefixes.first(where: { table["\($0)_scale"]?.dtype == .f8e4m3 }),
      let scale = table["\(prefix)_scale"]
    else { return nil }
    var weight = try weight(module, codes, scale, table)
    weight.scaling = .multiplied(by: try factor("\(prefix)_scale_2", of: weight, table))
    return weight
  }

  private static func weight(
    _ module: String, _ codes: Tensor, _ scale: Tensor, _ table: TensorTable
  ) throws -> FloatWeight {
    guard let axes = codes.axesOfNibbles else {
      throw Failure(
        .malformed, at: codes.place, "the shape of the codes", expected: "[outputs, bytes]",
        found: "\(codes.shape)", rule: "NVFP4-1")
    }
    var weight = try FloatWeight(
      module, grid: .e2m1, codes: codes, codesAxes: axes, scale: scale, block: (1, 16),
      rules: rules)
    guard weight.tiles.rows == 1 || weight.rows == 1, weight.tiles.columns == 16 else {
      throw Failure(
        .malformed, at: scale.place, "scales of NVFP4 are of 16 inputs",
        expected: "\(weight.rows) × \(weight.columns / 16)", found: "\(scale.shape)",
        rule: "NVFP4-2")
    }
    weight.others = table.activationParts(of: module)
    return weight
  }

  /// The scale of the whole: one number, or one for each matrix.
  private static func factor(
    _ name: String, of weight: FloatWeight, _ table: TensorTable
  ) throws -> Tensor {
    guard let factor = table[name] else {
      throw Failure(
        .malformed, at: weight.codes.place, "an NVFP4 weight lacks its second scale",
        expected: name, found: "none", rule: "NVFP4-1")
    }
    guard factor.dtype == .f32, factor.shape.count == 1 || factor.shape.count == weight.slices
    else {
      throw Failure(
        .malformed, at: factor.place, "the second scale of an NVFP4 weight",
        expected: "F32, one number for each matrix", found: "\(factor.dtype) \(factor.shape)",
        rule: "NVFP4-1")
    }
    return factor
  }
}
