extension Optimizer {
  /// One step with 8-bit states, block by block; parameters and gradients are values of `type`.
  ///
  /// The longest update is not looked at: LAMB and LARS step as Adam and momentum do. By the CUDA
  /// rules also: NaN and infinite gradients set the states of methods with squares to zero and
  /// leave their parameters; the values that fill up the last block have code 128, 0 for squares,
  /// and take part in its scale; RMSprop and Adagrad step along the gradient as it came, without
  /// scale and decay; Lion's step is rounded to the type of the parameters; AdEMAMix keeps the
  /// scale of block i of the slow average at (count + 256·i)/256, which is block i − 1's place
  /// in a stack of whole rows unless 256 divides the count. O(values).
  ///
  /// Traps where the counts differ, the method's states are missing or blocks are not of 256.
  public func step(
    _ parameters: inout [Float], gradients: [Float], state: inout BlockwiseOptimizerState,
    gradientScale: Float = 1, type: ParameterType = .f32, rules: PeerRules = .cuda
  ) {
    precondition(parameters.count == gradients.count && state.first.codes.count == gradients.count)
    precondition(method.hasSquares == (state.squares != nil))
    precondition((method == .ademamix) == (state.slow != nil))
    precondition(state.first.block == BlockwiseState.standardBlock)
    state.step += 1
    let numbers = StepNumbers(self, step: state.step, rules: rules)
    switch rules {
    case .cpu:
      CPUBlockwiseStep(numbers: numbers, type: type)
        .run(&parameters, gradients.map { $0 * gradientScale }, &state)
    case .cuda:
      CUDABlockwiseStep(numbers: numbers, scale: gradientScale, type: type)
        .run(&parameters, gradients, &state)
    }
  }
}
