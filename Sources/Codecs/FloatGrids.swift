public import Kernels

extension Grid {
  /// The 4-bit float of the microscaling formats: sign, 2 bits of exponent, 1 of mantissa.
  public static let e2m1 = Grid.table(
    name: "E2M1", values: [0, 0.5, 1, 1.5, 2, 3, 4, 6].signed)

  /// The 8-bit float with 4 bits of exponent, 3 of mantissa, NaN and no infinity.
  public static let e4m3 = Grid.table(
    name: "E4M3", values: (0..<256).map { FloatFormat.f8e4m3.value($0) })
}

extension [Float] {
  /// The values and, behind them, the values with a minus.
  fileprivate var signed: [Float] { self + map { -$0 } }
}
