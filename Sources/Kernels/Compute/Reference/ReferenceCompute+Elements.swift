extension ReferenceCompute {
  public func activate(_ values: Buffer, count: Int, _ activation: Activation) {
    change(values, count) { _, value in activation.value(value) }
  }

  public func gate(_ gate: Buffer, _ up: Buffer, count: Int, _ activation: Activation) {
    let up = numbers(up).values
    change(gate, count) { index, value in activation.value(value) * Double(up[index]) }
  }

  public func add(_ source: Buffer, count: Int, to target: Buffer) {
    let source = numbers(source).values
    change(target, count) { index, value in value + Double(source[index]) }
  }

  public func scale(_ target: Buffer, count: Int, by factor: Float) {
    change(target, count) { _, value in value * Double(factor) }
  }

  public func softcap(_ values: Buffer, count: Int, cap: Float) {
    let cap = Double(cap)
    change(values, count) { _, value in cap * hyperbolicTangent(value / cap) }
  }

  private func change(_ buffer: Buffer, _ count: Int, _ body: (Int, Double) -> Double) {
    let buffer = numbers(buffer)
    for index in 0..<count {
      buffer.values[index] = Float(body(index, Double(buffer.values[index])))
    }
  }
}

extension Activation {
  /// f(x) in f64.
  func value(_ x: Double) -> Double {
    switch self {
    case .relu: x > 0 || x.isNaN ? x : 0
    case .silu: x / (1 + exponential(-x))
    case .gelu: x / 2 * (1 + errorFunction(x * 0.5.squareRoot()))
    case .geluTanh:
      x / 2 * (1 + hyperbolicTangent((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .quickGelu: x / (1 + exponential(-1.702 * x))
    }
  }
}
