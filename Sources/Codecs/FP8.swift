import Kernels
import TensorCore

extension FloatCodec {
  /// FP8 (`Formats/fp8.md`): a byte a weight, scales for the whole, for rows or for tiles.
  public static let fp8 = FloatCodec(
    "fp8", suffixes: FP8.suffixes, dialect: FP8Dialect.scheme
  ) { module, table, declared in
    let weight = try FP8.weight(module, table, declared)
    return weight.flatMap { FP8.isMX($0) ? nil : $0 }
  }

  /// MXFP8 (`Formats/mxfp4.md`): FP8 whose scales are powers of two, one for 32 inputs.
  public static let mxfp8 = FloatCodec(
    "mxfp8", suffixes: FP8.suffixes, dialect: FP8Dialect.mxScheme
  ) { module, table, declared in
    let weight = try FP8.weight(module, table, declared)
    return weight.flatMap { FP8.isMX($0) ? $0 : nil }
  }
}

private enum FP8 {
  /// `weight` of a module, or the parameter itself where a tensor of its scales lies beside it.
  static let suffixes = [".weight", "_scale_inv", "_scale"]
  private static let rules = FloatWeight.Rules(parts: "FP8-1", scales: "FP8-3")

  static func weight(
    _ module: String, _ table: TensorTable, _ declared: Declared
  ) throws -> FloatWeight? {
    guard let codes = table.first(["\(module).weight", module]),
      let grid = Grid.float8(codes.dtype), codes.shape.rank > 1
    else { return nil }
    // FP8-2: the names of scales, of which the first found is taken.
    let names = ["\(codes.name)_scale_inv", "\(codes.name)_scale"]
    let short = ["scale", "qscale_weight"].map { "\(module).\($0)" }
    guard let scale = table.first(codes.name == module ? names : names + short) else {
      return try withoutScale(codes, declared)
    }
    var weight = try FloatWeight(
      module, grid: grid, codes: codes, codesAxes: codes.shape.dimensions, scale: scale,
      block: block(declared.settings), rules: rules)
    weight.others = table.activationParts(of: module)
    let semantics = declared.settings?.dialect["weight_scale_semantics"]?.string
    // FP8-5: one writer stores what weights were multiplied with.
    if semantics == "inverse" && scale.name.hasSuffix("_inv") { weight.scaling = .inverse }
    return weight
  }

  /// A layer that the config declares and that lacks its scales; else a tensor of FP8 numbers.
  private static func withoutScale(_ codes: Tensor, _ declared: Declared) throws -> FloatWeight? {
    guard declared.settings?.bits == 8 else { return nil }
    throw Failure(
      .malformed, at: codes.place, "an FP8 weight has no scale",
      expected: "\(codes.name)_scale or \(codes.name)_scale_inv", found: "none", rule: "FP8-2")
  }

  /// The size of tiles, where the config names it.
  private static func block(_ settings: Scheme.Settings?) -> (rows: Int, columns: Int)? {
    let dialect = settings?.dialect
    let block = dialect?["weight_block_size"] ?? dialect?["block_structure"]
    guard let sides = block?.array?.map(\.int), sides.count == 2, let rows = sides[0],
      let columns = sides[1], rows > 0, columns > 0
    else { return nil }
    return (rows, columns)
  }

  /// MX-4.
  static func isMX(_ weight: FloatWeight) -> Bool {
    weight.scaleType == .f8e8m0 && weight.tiles.rows == 1 && weight.tiles.columns == 32
  }
}
