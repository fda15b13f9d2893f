extension Optimizer {
  /// One step with 32-bit states; parameters and gradients are values of `type`.
  ///
  /// `gradientScale` multiplies every gradient first (percentile clipping). Where the rules
  /// differ: the CPU shrinks parameters by weight decay before the update, the CUDA kernels after
  /// it, Lion on both before; the norm of an update is that of `m/(√v+ε)` as the CPU has it, with
  /// both averages corrected as CUDA has it. The kernels' fused multiplications and approximate
  /// divisions, which differ from chip to chip, are not imitated. O(values).
  ///
  /// Traps where the counts differ or the method's states are missing.
  public func step(
    _ parameters: inout [Float], gradients: [Float], state: inout DenseOptimizerState,
    gradientScale: Float = 1, type: ParameterType = .f32, rules: PeerRules = .cuda
  ) {
    precondition(parameters.count == gradients.count && state.first.count == gradients.count)
    precondition(method.hasSquares == (state.squares != nil))
    precondition((method == .ademamix) == (state.slow != nil))
    state.step += 1
    let numbers = StepNumbers(self, step: state.step, rules: rules)
    let norm = maxUpdateNorm > 0 ? Self.norm(parameters) : 0
    switch rules {
    case .cpu:
      CPUStep(numbers: numbers, maxNorm: maxUpdateNorm, parameterNorm: norm, type: type)
        .run(&parameters, gradients.map { $0 * gradientScale }, &state)
    case .cuda:
      // The scaled gradient is stored in its own type again.
      let scaled = gradients.map { type.rounded(gradientScale * $0) }
      CUDAStep(
        numbers: numbers, maxNorm: Float(maxUpdateNorm), parameterNorm: Float(norm), type: type
      )
      .run(&parameters, scaled, &state)
    }
  }

  /// The Euclidean norm, summed in f64.
  static func norm(_ values: [Float]) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
  }
}
