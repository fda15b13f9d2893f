/// A step with 8-bit states as the peer's CPU code takes it: all values, an update, all codes.
struct CPUBlockwiseStep {
  let numbers: StepNumbers
  let type: ParameterType

  func run(
    _ parameters: inout [Float], _ gradients: [Float], _ state: inout BlockwiseOptimizerState
  ) {
    var dense = DenseOptimizerState(state)
    for index in parameters.indices {
      parameters[index] = type.rounded(
        moved(&dense, index, gradients[index], parameters[index]))
    }
    func coded(_ values: [Float], _ old: BlockwiseState) -> BlockwiseState {
      BlockwiseState(quantizing: values, map: old.map, keepsSign: false, rules: .cpu)
    }
    state.first = coded(dense.first, state.first)
    if let slow = state.slow { state.slow = coded(dense.slow ?? [], slow) }
    if let squares = state.squares { state.squares = coded(dense.squares ?? [], squares) }
  }

  private func moved(
    _ state: inout DenseOptimizerState, _ index: Int, _ gradient: Float, _ parameter: Float
  ) -> Float {
    let n = numbers
    var first = state.first[index]
    defer { state.first[index] = first }
    let before = n.decay > 0 ? parameter * n.shrink : parameter
    switch n.method {
    case .adam:
      first = n.averaged(first, gradient, n.beta1, n.rest1)
      let squares = n.averagedSquare(state.squares?[index] ?? 0, gradient, n.beta2, n.rest2)
      state.squares?[index] = squares
      return before
        + n.negativeRate1 * first / (squares.squareRoot() / n.correction2 + n.epsilon)
    case .ademamix:
      first = n.averaged(first, gradient, n.beta1, n.rest1)
      let slow = n.averaged(state.slow?[index] ?? 0, gradient, n.beta3, n.rest3)
      let squares = n.averagedSquare(state.squares?[index] ?? 0, gradient, n.beta2, n.rest2)
      state.slow?[index] = slow
      state.squares?[index] = squares
      return before.addingProduct(n.mixed(first, slow, squares), -n.rate)
    case .momentum:
      let decayed = n.decayed(gradient, parameter)
      first = n.isFirst ? decayed : first * n.beta1 + decayed
      return parameter.addingProduct(first, -n.rate)
    case .lion:
      // Here the two products are rounded before they are added.
      let direction = (first * n.beta1 + gradient * n.rest1).direction
      first = n.averaged(first, gradient, n.beta2, n.rest2)
      return before.addingProduct(direction, -n.rate)
    case .rmsprop:
      let decayed = n.decayed(gradient, parameter)
      first = n.averagedSquare(first, decayed, n.beta1, n.rest1)
      return parameter + -n.rate * decayed / (first.squareRoot() + n.epsilon)
    case .adagrad:
      let decayed = n.decayed(gradient, parameter)
      first = first.addingProduct(decayed, decayed)
      return parameter + -n.rate * decayed / (first.squareRoot() + n.epsilon)
    }
  }
}
