public import Kernels

extension [Fold] {
  /// What the inputs of a linear layer are divided by; nil where no fold scales them.
  public func inputFactors(of linear: String) -> [Float]? {
    first { $0.site.linears.contains(linear) }?.factors
  }

  /// A linear layer's weight with all folds in it: columns multiplied where its inputs are scaled, rows divided
  /// where it is the source of a site. O(weights).
  public func weight(_ linear: String, from original: Matrix) -> Matrix {
    var weight = inputFactors(of: linear).map { original.columns(times: $0) } ?? original
    for fold in self {
      guard case .linear(linear, let rows) = fold.site.source else { continue }
      for (factor, row) in zip(fold.factors, rows) {
        for index in row * weight.columns..<(row + 1) * weight.columns {
          weight.values[index] /= factor
        }
      }
    }
    return weight
  }

  /// A linear layer's bias with all folds in it. O(values).
  public func bias(_ linear: String, from original: [Float]) -> [Float] {
    var bias = original
    for fold in self {
      guard case .linear(linear, let rows) = fold.site.source else { continue }
      for (factor, row) in zip(fold.factors, rows) { bias[row] /= factor }
    }
    return bias
  }

  /// A norm's weight with all folds in it: γ/s, or (1 + γ)/s − 1 where the norm multiplies by 1 + γ. O(values).
  public func normWeight(_ norm: String, from original: [Float]) -> [Float] {
    reduce(original) { weight, fold in
      guard case .norm(norm, let isOffset) = fold.site.source else { return weight }
      return zip(weight, fold.factors).map { isOffset ? (1 + $0) / $1 - 1 : $0 / $1 }
    }
  }

  /// A norm's bias with all folds in it. O(values).
  public func normBias(_ norm: String, from original: [Float]) -> [Float] {
    reduce(original) { bias, fold in
      guard case .norm(norm, _) = fold.site.source else { return bias }
      return zip(bias, fold.factors).map { $0 / $1 }
    }
  }

  /// Whether a fold changes anything of a module.
  public func touches(_ module: String) -> Bool {
    contains { fold in
      switch fold.site.source {
      case .norm(module, _), .linear(module, _): true
      default: fold.site.linears.contains(module)
      }
    }
  }

  /// A Hessian `[columns][columns]` of a linear layer's inputs after the folds: each number divided by the factors of
  /// its row and column. For GPTQ on folded weights.
  public func hessian(_ values: [Float], of linear: String) -> [Float] {
    guard let factors = inputFactors(of: linear) else { return values }
    let count = factors.count
    return values.indices.map { values[$0] / factors[$0 / count] / factors[$0 % count] }
  }
}
