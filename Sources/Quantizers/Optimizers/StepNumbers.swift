/// The numbers of one step, each rounded to f32 where the peer's code rounds it.
struct StepNumbers {
  let method: Optimizer.Method
  let isFirst: Bool
  let rate: Float
  /// The rate as it was given.
  let wideRate: Double
  let beta1: Float
  let beta2: Float
  let beta3: Float
  let rest1: Float
  let rest2: Float
  let rest3: Float
  let alpha: Float
  let epsilon: Float
  let decay: Float
  /// 1 − rate · decay.
  let shrink: Float
  /// 1 − β₁ᵗ.
  let correction1: Float
  /// √(1 − β₂ᵗ).
  let correction2: Float
  /// −rate · correction2 / correction1, before it is rounded.
  let wideSize: Double
  /// epsilon · correction2.
  let scaledEpsilon: Float
  /// −rate / correction1.
  let negativeRate1: Float

  /// `step` is 1 for the first. The CPU code computes in f64 and rounds last, the kernels get
  /// f32 numbers and go on in f32.
  init(_ optimizer: Optimizer, step: Int, rules: PeerRules) {
    let current = optimizer.scheduled(at: step)
    method = current.method
    isFirst = step == 1
    (rate, wideRate) = (Float(current.learningRate), current.learningRate)
    beta1 = Float(current.beta1)
    beta2 = Float(current.beta2)
    beta3 = Float(current.beta3)
    alpha = Float(current.alpha)
    epsilon = Float(current.epsilon)
    decay = Float(current.weightDecay)
    switch rules {
    case .cpu:
      let wide1 = 1 - power(current.beta1, step)
      let wide2 = (1 - power(current.beta2, step)).squareRoot()
      (rest1, rest2, rest3) = (
        Float(1 - current.beta1), Float(1 - current.beta2), Float(1 - current.beta3)
      )
      shrink = Float(1 - current.learningRate * current.weightDecay)
      (correction1, correction2) = (Float(wide1), Float(wide2))
      wideSize = -current.learningRate * wide2 / wide1
      scaledEpsilon = Float(current.epsilon * wide2)
      negativeRate1 = Float(-current.learningRate / wide1)
    case .cuda:
      (rest1, rest2, rest3) = (1 - beta1, 1 - beta2, 1 - beta3)
      shrink = 1 - rate * decay
      correction1 = 1 - Float(power(Double(beta1), step))
      correction2 = (1 - Float(power(Double(beta2), step))).squareRoot()
      wideSize = Double(-rate * correction2 / correction1)
      scaledEpsilon = epsilon * correction2
      negativeRate1 = -rate / correction1
    }
  }
}
