import Kernels
import TensorCore

extension FloatCodec {
  /// MXFP4 (`Formats/mxfp4.md`): E2M1 codes, a power of two for 32 inputs.
  public static let mxfp4 = FloatCodec(
    "mxfp4",
    suffixes: [".weight", ".weight_packed", "_blocks", ".blocks", "_scale_inv", "_scale"],
    dialect: MXFP4Dialect.scheme
  ) { module, table, _ in
    try MXFP4.blocks(module, table) ?? MXFP4.rows(module, table)
  }
}

private enum MXFP4 {
  private static let rules = FloatWeight.Rules(parts: "MX-1", scales: "MX-3")

  /// MX-1: gpt-oss keeps 16 bytes of 32 codes on an axis of their own, experts before all.
  static func blocks(_ module: String, _ table: TensorTable) throws -> FloatWeight? {
    for mark in ["_", "."] {
      guard let codes = table["\(module)\(mark)blocks"], codes.dtype == .u8,
        let scales = table["\(module)\(mark)scales"]
      else { continue }
      let axes = codes.shape.dimensions
      guard axes.count == 3 || axes.count == 4, axes.last == 16, axes[axes.count - 2] > 0,
        scales.shape.dimensions == axes.dropLast(), scales.dtype == .u8 || scales.dtype == .f8e8m0,
        let columns = axes[axes.count - 2].multiplied(by: 32)
      else {
        throw Failure(
          .malformed, at: codes.place, "blocks and scales don't fit each other",
          expected: "U8 [experts, outputs, groups, 16] and U8 [experts, outputs, groups]",
          found: "\(codes.shape) and \(scales.dtype) \(scales.shape)", rule: "MX-1")
      }
      var weight = try FloatWeight(
        module, grid: .e2m1, codes: codes, codesAxes: axes.dropLast(2) + [columns], scale: scales,
        block: (1, 32), rules: rules)
      // MX-2: as transformers names and turns what it decodes.
      weight.dense = DensePlace(name: module, isTransposed: mark == "_" && axes.count == 4)
      return weight
    }
    return nil
  }

  /// MX-1: two codes a byte in rows, scales of E8M0 beside them.
  static func rows(_ module: String, _ table: TensorTable) throws -> FloatWeight? {
    guard let codes = table.first(["\(module).weight_packed", "\(module).weight", module]),
      [.u8, .i8, .f4].contains(codes.dtype), codes.shape.rank > 1,
      let scale = table.first(scaleNames(module, codes)),
      scale.dtype == .u8 || scale.dtype == .f8e8m0,
      let axes = codes.axesOfNibbles
    else { return nil }
    var weight = try FloatWeight(
      module, grid: .e2m1, codes: codes, codesAxes: axes, scale: scale, block: (1, 32),
      rules: rules)
    guard weight.tiles.rows == 1 || weight.rows == 1, weight.tiles.columns == 32 else {
      throw Failure(
        .malformed, at: scale.place, "scales of MXFP4 are of 32 inputs",
        expected: "\(weight.rows) × \(weight.columns / 32)", found: "\(scale.shape)", rule: "MX-3")
    }
    weight.others = table.activationParts(of: module)
    return weight
  }

  private static func scaleNames(_ module: String, _ codes: Tensor) -> [String] {
    codes.name == module
      ? ["\(module)_scale_inv", "\(module)_scale"]
      : ["weight_scale_inv", "weight_scale", "scale"].map { "\(module).\($0)" }
  }
}

extension Tensor {
  /// The dimensions in codes of a tensor with two of them in each byte; nil on overflow. F4 counts
  /// codes already, of which rows of whole bytes have an even number.
  var axesOfNibbles: [Int]? {
    guard let last = shape.dimensions.last else { return nil }
    if dtype == .f4 { return last % 2 == 0 ? shape.dimensions : nil }
    return last.multiplied(by: 2).map { shape.dimensions.dropLast() + [$0] }
  }
}
