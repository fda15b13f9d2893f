/// One of the optimizers of bitsandbytes: how states move, and by how much.
public struct Optimizer: Equatable, Sendable {
  /// The arithmetic of a step; several optimizers share one.
  public enum Method: String, CaseIterable, Sendable {
    case adam, ademamix, momentum, rmsprop, adagrad, lion

    /// Whether a second state, of squares, exists: it takes the unsigned map in 8 bits.
    public var hasSquares: Bool { self == .adam || self == .ademamix }
  }

  public var name: String
  public var method: Method
  public var learningRate: Double
  public var beta1: Double
  public var beta2: Double = 0
  /// Of AdEMAMix' slow average.
  public var beta3: Double = 0
  /// The weight of AdEMAMix' slow average.
  public var alpha: Double = 0
  public var epsilon: Double = 0
  public var weightDecay: Double = 0
  /// An update longer than this part of the parameters is cut down to it; 0 for never. Looked at
  /// with 32-bit states only, as by the peer.
  public var maxUpdateNorm: Double = 0
  /// Steps over which AdEMAMix' alpha grows; nil for all at once.
  public var alphaSteps: Int?
  /// Steps over which AdEMAMix' beta3 grows from beta1; nil for all at once.
  public var beta3Steps: Int?
}

/// The optimizers, with the peer's defaults.
extension Optimizer {
  public static let adam = Optimizer(
    name: "Adam", method: .adam, learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8)

  public static let adamW = Optimizer(
    name: "AdamW", method: .adam, learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
    weightDecay: 1e-2)

  public static let lamb = Optimizer(
    name: "LAMB", method: .adam, learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
    maxUpdateNorm: 1)

  public static let adEMAMix = Optimizer(
    name: "AdEMAMix", method: .ademamix, learningRate: 1e-3, beta1: 0.9, beta2: 0.999,
    beta3: 0.9999, alpha: 5, epsilon: 1e-8, weightDecay: 1e-2)

  public static func sgd(learningRate: Double, momentum: Double) -> Optimizer {
    Optimizer(name: "SGD", method: .momentum, learningRate: learningRate, beta1: momentum)
  }

  public static func lars(learningRate: Double, momentum: Double) -> Optimizer {
    Optimizer(
      name: "LARS", method: .momentum, learningRate: learningRate, beta1: momentum,
      maxUpdateNorm: 0.02)
  }

  public static let rmsProp = Optimizer(
    name: "RMSprop", method: .rmsprop, learningRate: 1e-2, beta1: 0.99, epsilon: 1e-8)

  public static let adagrad = Optimizer(
    name: "Adagrad", method: .adagrad, learningRate: 1e-2, beta1: 0, epsilon: 1e-10)

  public static let lion = Optimizer(
    name: "Lion", method: .lion, learningRate: 1e-4, beta1: 0.9, beta2: 0.99)
}

extension Optimizer {
  /// This optimizer with alpha and beta3 as AdEMAMix' schedules have them at a step, 1 the first:
  /// alpha grows in proportion, beta3 so that its half-life does (Pagliardini et al., 2024).
  public func scheduled(at step: Int) -> Optimizer {
    var current = self
    if let alphaSteps { current.alpha = min(Double(step) * alpha / Double(alphaSteps), alpha) }
    if let beta3Steps {
      let part = Double(step) / Double(beta3Steps)
      let (fast, slow) = (logarithm(beta1), logarithm(beta3))
      let grown = exponential(fast * slow / ((1 - part) * slow + part * fast))
      current.beta3 = min(grown, beta3)
    }
    return current
  }
}
