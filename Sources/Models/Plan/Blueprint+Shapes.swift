extension Blueprint {
  /// Names and shapes of all matrices of a dense checkpoint of the model, a tied head left out.
  public var matrices: [LinearPlan] { allMatrices([]) }

  /// Names and lengths of its vectors: biases and norms.
  public var vectors: [(name: String, count: Int)] {
    let biases = matrices.compactMap { linear in
      linear.biasName.map { (name: $0, count: linear.rows) }
    }
    let norms = blocks.flatMap(\.norms) + [finalNorm].compactMap(\.self)
    return biases
      + norms.flatMap { norm in norm.tensorNames.map { (name: $0, count: norm.width) } }
  }
}
