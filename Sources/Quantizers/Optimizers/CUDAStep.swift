/// A step with 32-bit states as the peer's CUDA kernels take it, without the fusing of products
/// and sums that its compiler adds.
struct CUDAStep {
  let numbers: StepNumbers
  let maxNorm: Float
  let parameterNorm: Float
  let type: ParameterType

  func run(
    _ parameters: inout [Float], _ gradients: [Float], _ state: inout DenseOptimizerState
  ) {
    let scale = maxNorm > 0 ? scale(norm: updateNorm(gradients, state)) : 1
    for index in parameters.indices {
      parameters[index] = moved(&state, index, gradients[index], parameters[index], scale)
    }
  }

  /// Moves the states of one value and returns the parameter after the step.
  private func moved(
    _ state: inout DenseOptimizerState, _ index: Int, _ gradient: Float, _ parameter: Float,
    _ scale: Float
  ) -> Float {
    let n = numbers
    var first = state.first[index]
    defer { state.first[index] = first }
    switch n.method {
    case .adam:
      first = first * n.beta1 + n.rest1 * gradient
      let squares = (state.squares?[index] ?? 0) * n.beta2 + n.rest2 * (gradient * gradient)
      state.squares?[index] = squares
      let update = first / (squares.squareRoot() + n.scaledEpsilon)
      return shrunk(type.rounded(parameter + scale * Float(n.wideSize) * update))
    case .ademamix:
      first = first * n.beta1 + n.rest1 * gradient
      let slow = (state.slow?[index] ?? 0) * n.beta3 + n.rest3 * gradient
      let squares = (state.squares?[index] ?? 0) * n.beta2 + n.rest2 * gradient * gradient
      state.slow?[index] = slow
      state.squares?[index] = squares
      return shrunk(type.rounded(parameter - n.rate * n.mixed(first, slow, squares)))
    case .momentum:
      let decayed = decayed(gradient, parameter)
      first = n.isFirst ? decayed : first * n.beta1 + decayed
      return type.rounded(parameter + scale * (-n.rate * first))
    case .lion:
      let before = shrunk(parameter)
      let direction = (first * n.beta1 + n.rest1 * gradient).direction
      first = first * n.beta2 + n.rest2 * gradient
      return type.rounded(before - scale * (n.rate * direction))
    case .rmsprop:
      let decayed = decayed(gradient, parameter)
      first = first * n.beta1 + n.rest1 * decayed * decayed
      let update = decayed / (first.squareRoot() + n.epsilon)
      return type.rounded(parameter - scale * (n.rate * update))
    case .adagrad:
      let decayed = decayed(gradient, parameter)
      first += decayed * decayed
      return type.rounded(parameter - n.rate * (decayed / (first.squareRoot() + n.epsilon)))
    }
  }

  private func shrunk(_ parameter: Float) -> Float {
    numbers.decay > 0 ? type.rounded(parameter * numbers.shrink) : parameter
  }

  private func decayed(_ gradient: Float, _ parameter: Float) -> Float {
    numbers.decay > 0 ? type.rounded(gradient + parameter * numbers.decay) : gradient
  }

  /// The norm of the update before weight decay, both averages corrected. The kernels have none
  /// for AdEMAMix, and Lion's is of the step before, so both go uncut.
  private func updateNorm(_ gradients: [Float], _ state: DenseOptimizerState) -> Float {
    let n = numbers
    let updates = gradients.enumerated().map { index, gradient -> Float in
      let first = state.first[index]
      switch n.method {
      case .adam:
        let mean = (first * n.beta1 + n.rest1 * gradient) * (1 / n.correction1)
        let kept = (state.squares?[index] ?? 0) * n.beta2
        let squares = (kept + n.rest2 * (gradient * gradient)) / (n.correction2 * n.correction2)
        return mean / (squares.squareRoot() + n.epsilon)
      case .momentum: return n.isFirst ? gradient : first * n.beta1 + gradient
      case .rmsprop:
        let squares = first * n.beta1 + n.rest1 * gradient * gradient
        return gradient / (squares.squareRoot() + n.epsilon)
      case .adagrad, .lion, .ademamix: return 0
      }
    }
    return Float(Optimizer.norm(updates))
  }

  private func scale(norm: Float) -> Float {
    // The kernels of one state allow epsilon more.
    let most = maxNorm * parameterNorm + (numbers.method == .adam ? 0 : numbers.epsilon)
    return norm > most ? most / norm : 1
  }
}
