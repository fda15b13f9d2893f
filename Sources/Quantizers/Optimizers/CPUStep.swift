/// A step with 32-bit states as the peer's CPU code takes it, where a product and a sum that it
/// writes as one call are rounded once.
struct CPUStep {
  let numbers: StepNumbers
  let maxNorm: Double
  let parameterNorm: Double
  let type: ParameterType

  func run(
    _ parameters: inout [Float], _ gradients: [Float], _ state: inout DenseOptimizerState
  ) {
    var updates = [Float](repeating: 0, count: parameters.count)
    for index in parameters.indices {
      if [.adam, .ademamix, .lion].contains(numbers.method), numbers.decay > 0 {
        parameters[index] *= numbers.shrink
      }
      updates[index] = move(&state, index, gradients[index], parameters[index])
    }
    let size = Float(factor * scale(of: updates))
    for index in parameters.indices {
      parameters[index] = type.rounded(parameters[index].addingProduct(updates[index], size))
    }
  }

  private var factor: Double {
    numbers.method == .adam ? numbers.wideSize : -numbers.wideRate
  }

  /// Moves the states of one value and returns what the step is a multiple of.
  private func move(
    _ state: inout DenseOptimizerState, _ index: Int, _ gradient: Float, _ parameter: Float
  ) -> Float {
    let n = numbers
    switch n.method {
    case .adam:
      state.first[index] = n.averaged(state.first[index], gradient, n.beta1, n.rest1)
      let squares = n.averagedSquare(state.squares?[index] ?? 0, gradient, n.beta2, n.rest2)
      state.squares?[index] = squares
      return state.first[index] / (squares.squareRoot() + n.scaledEpsilon)
    case .ademamix:
      state.first[index] = n.averaged(state.first[index], gradient, n.beta1, n.rest1)
      let slow = n.averaged(state.slow?[index] ?? 0, gradient, n.beta3, n.rest3)
      let squares = n.averagedSquare(state.squares?[index] ?? 0, gradient, n.beta2, n.rest2)
      state.slow?[index] = slow
      state.squares?[index] = squares
      return n.mixed(state.first[index], slow, squares)
    case .momentum:
      let decayed = n.decayed(gradient, parameter)
      state.first[index] = n.isFirst ? decayed : state.first[index] * n.beta1 + decayed
      return state.first[index]
    case .lion:
      let direction = n.averaged(state.first[index], gradient, n.beta1, n.rest1)
      state.first[index] = n.averaged(state.first[index], gradient, n.beta2, n.rest2)
      return direction.direction
    case .rmsprop:
      let decayed = n.decayed(gradient, parameter)
      state.first[index] = n.averagedSquare(state.first[index], decayed, n.beta1, n.rest1)
      return decayed / (state.first[index].squareRoot() + n.epsilon)
    case .adagrad:
      let decayed = n.decayed(gradient, parameter)
      state.first[index] = state.first[index].addingProduct(decayed, decayed)
      return decayed / (state.first[index].squareRoot() + n.epsilon)
    }
  }

  /// What cuts the update to the longest it may be; the peer forgets Lion and Adagrad.
  private func scale(of updates: [Float]) -> Double {
    guard maxNorm > 0, [.adam, .momentum, .rmsprop].contains(numbers.method) else { return 1 }
    let norm = Optimizer.norm(updates)
    return norm > maxNorm * parameterNorm ? maxNorm * parameterNorm / norm : 1
  }
}

extension StepNumbers {
  /// average · β, rounded, then + value · (1 − β) with one rounding.
  func averaged(_ average: Float, _ value: Float, _ beta: Float, _ rest: Float) -> Float {
    (average * beta).addingProduct(value, rest)
  }

  func averagedSquare(_ average: Float, _ value: Float, _ beta: Float, _ rest: Float) -> Float {
    (average * beta).addingProduct(rest * value, value)
  }

  /// Weight decay as a part of the gradient.
  func decayed(_ gradient: Float, _ parameter: Float) -> Float {
    decay > 0 ? gradient.addingProduct(parameter, decay) : gradient
  }

  func mixed(_ fast: Float, _ slow: Float, _ squares: Float) -> Float {
    (fast / correction1 + alpha * slow) / (squares.squareRoot() / correction2 + epsilon)
  }
}

extension Float {
  /// 1, −1 or 0 by the sign; NaN stays.
  var direction: Float { self > 0 ? 1 : self < 0 ? -1 : self }
}
