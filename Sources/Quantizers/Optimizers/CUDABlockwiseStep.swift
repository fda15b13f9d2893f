/// A step with 8-bit states as the peer's CUDA kernels take it, without the fusing of products and
/// sums and the approximate divisions of their compiler.
struct CUDABlockwiseStep {
  let numbers: StepNumbers
  let scale: Float
  let type: ParameterType

  /// The codes that fill up the last block: 128 for signed states, 0 for squares.
  private static let fillerCode = 128

  func run(
    _ parameters: inout [Float], _ gradients: [Float], _ state: inout BlockwiseOptimizerState
  ) {
    let old = StackedScales(state)
    var new = old
    for block in state.first.absmax.indices {
      let range = state.first.range(ofBlock: block)
      var first = values(of: state.first, range, old.first(block))
      var slow = state.slow.map { values(of: $0, range, old.slow(block)) }
      var squares = state.squares.map { values(of: $0, range, $0.absmax[block], filler: 0) }
      for (place, index) in range.enumerated() {
        let gradient = gradients[index]
        parameters[index] = moved(
          &first, &slow, &squares, place, gradient, parameters[index])
      }
      for place in range.count..<first.count {
        _ = moved(&first, &slow, &squares, place, 0, 0)
      }
      new.setFirst(block, code(first, in: range, of: &state.first))
      if let slow { new.setSlow(block, code(slow, in: range, of: &state.slow!)) }
      if let squares {
        state.squares!.absmax[block] = code(
          squares, in: range, of: &state.squares!, keepsSign: false)
      }
    }
    new.store(in: &state)
  }

  /// The values of a block, filled up to a whole one.
  private func values(
    of state: BlockwiseState, _ range: Range<Int>, _ absmax: Float, filler: Int = fillerCode
  ) -> [Float] {
    let fill = repeatElement(state.map[filler] * absmax, count: state.block - range.count)
    return state.codes[range].map { state.map[Int($0)] * absmax } + fill
  }

  /// Sets the codes of a block and returns its new scale.
  private func code(
    _ values: [Float], in range: Range<Int>, of state: inout BlockwiseState, keepsSign: Bool = true
  ) -> Float {
    let quantizer = StateQuantizer(map: state.map, keepsSign: keepsSign, rules: .cuda)
    let absmax = quantizer.scale(values)
    for (place, index) in range.enumerated() {
      state.codes[index] = quantizer.code(values[place], absmax)
    }
    return absmax
  }

  /// Moves the states of one value and returns the parameter after the step.
  private func moved(
    _ firsts: inout [Float], _ slows: inout [Float]?, _ squares: inout [Float]?, _ place: Int,
    _ raw: Float, _ parameter: Float
  ) -> Float {
    guard numbers.method.hasSquares else {
      return moved(&firsts[place], raw, parameter)
    }
    guard raw.isFinite else {
      firsts[place] = 0
      slows?[place] = 0
      squares?[place] = 0
      return parameter
    }
    let n = numbers
    let gradient = raw * scale
    let first = firsts[place] * n.beta1 + n.rest1 * gradient
    let square = (squares?[place] ?? 0) * n.beta2 + n.rest2 * gradient * gradient
    firsts[place] = first
    squares?[place] = square
    guard let slow = slows?[place] else {
      let update = first / (square.squareRoot() + n.scaledEpsilon)
      return shrunk(type.rounded(parameter + Float(n.wideSize) * update))
    }
    let slowed = slow * n.beta3 + n.rest3 * gradient
    slows?[place] = slowed
    return shrunk(type.rounded(parameter - n.rate * n.mixed(first, slowed, square)))
  }

  /// The same for methods of one state, which let NaN and infinity through.
  private func moved(_ first: inout Float, _ raw: Float, _ parameter: Float) -> Float {
    let n = numbers
    let scaled = raw * scale
    let gradient = n.decay > 0 && n.method != .lion ? scaled + parameter * n.decay : scaled
    switch n.method {
    case .lion:
      let before = shrunk(parameter)
      let direction = (first * n.beta1 + n.rest1 * gradient).direction
      first = first * n.beta2 + n.rest2 * gradient
      return type.rounded(before - type.rounded(n.rate * direction))
    case .rmsprop:
      first = first * n.beta1 + n.rest1 * (gradient * gradient)
      return type.rounded(parameter - n.rate * (raw / (first.squareRoot() + n.epsilon)))
    case .adagrad:
      first += gradient * gradient
      return type.rounded(parameter - n.rate * (raw / (first.squareRoot() + n.epsilon)))
    case .momentum, .adam, .ademamix:
      first = n.isFirst ? gradient : first * n.beta1 + gradient
      return type.rounded(parameter - n.rate * first)
    }
  }

  private func shrunk(_ parameter: Float) -> Float {
    numbers.decay > 0 ? type.rounded(parameter * numbers.shrink) : parameter
  }
}
