public import Kernels

extension CalibrationBlock {
  /// Moves scales: divides the source by the factors and multiplies the columns of the linear layers; the
  /// block's output stays what it was but for rounding.
  public func apply(_ fold: Fold) throws {
    switch fold.site.source {
    case .norm(let name, let isOffset):
      try replace(name, with: norm(name).divided(by: fold.factors, isOffset: isOffset))
    case .linear(let name, let rows):
      var bias = try bias(name)
      var matrix = try weight(name)
      for (row, factor) in zip(rows, fold.factors) {
        bias?[row] /= factor
        for index in row * matrix.columns..<(row + 1) * matrix.columns {
          matrix.values[index] /= factor
        }
      }
      try replace(name, with: matrix, bias: bias)
    }
    for linear in fold.site.linears {
      try replace(linear, with: weight(linear).columnsMultiplied(by: fold.factors))
    }
  }
}

extension NormValues {
  /// γ/s and β/s; (1 + γ)/s − 1 where the norm multiplies by 1 + γ. A weight of ones stands where there
  /// was none.
  func divided(by factors: [Float], isOffset: Bool) -> NormValues {
    var result = self
    let one: Float = isOffset ? 1 : 0
    let weight = weight ?? factors.map { _ in 1 }
    result.weight = zip(weight, factors).map { (one + $0) / $1 - one }
    result.bias = bias.map { zip($0, factors).map { $0 / $1 } }
    return result
  }
}

extension Matrix {
  func columnsMultiplied(by factors: [Float]) -> Matrix {
    var result = self
    for row in 0..<rows {
      for column in 0..<columns { result.values[row * columns + column] *= factors[column] }
    }
    return result
  }
}

extension CalibrationBlock {
  /// The block with the weights as they are now.
  public var decoderBlock: DecoderBlock { DecoderBlock(plan, ropes, loader, weights) }
}
