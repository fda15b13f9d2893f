import Kernels
import TensorCore

extension Grid {
  /// The sixteen numbers of the 4-bit float E2M1, negative ones from code 8 on.
  static let e2m1 = Grid.table(
    name: "e2m1", values: magnitudes + magnitudes.map { -$0 })

  /// The 8-bit float with 4 bits of exponent, 3 of mantissa, NaN and no infinity.
  static let e4m3 = grid(FloatFormat.f8e4m3, "e4m3")

  private static let magnitudes: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]

  /// The numbers of a float of one byte; nil for other types.
  static func float8(_ dtype: DType) -> Grid? { float8Grids[dtype] }

  private static let float8Grids: [DType: Grid] = [
    .f8e4m3: e4m3,
    .f8e5m2: grid(FloatFormat.f8e5m2, "e5m2"),
    .f8e4m3fnuz: grid(FloatFormat.f8e4m3fnuz, "e4m3fnuz"),
    .f8e5m2fnuz: grid(FloatFormat.f8e5m2fnuz, "e5m2fnuz"),
  ]

  private static func grid(_ format: FloatFormat, _ name: String) -> Grid {
    .table(name: name, values: (0..<256).map { format.value($0) })
  }
}
