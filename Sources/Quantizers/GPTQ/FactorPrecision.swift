public import Kernels

extension GPTQuantizer {
  /// What a Hessian of so many columns is factored in.
  public func precision(
    columns: Int, summedIn sum: SquareMatrix.Precision = .single
  ) -> SquareMatrix.Precision {
    factorPrecision ?? (columns <= 2048 ? .double : sum)
  }
}
