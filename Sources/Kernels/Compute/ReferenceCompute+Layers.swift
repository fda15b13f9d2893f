import TensorCore

#if canImport(Glibc)
  import Glibc
#endif

extension ReferenceCompute {
  public func normalize(
    _ input: Buffer, rows: Int, width: Int, _ norm: Norm, into output: Buffer
  ) {
    let weight = norm.weight.map { Self.open($0).values }
    let bias = norm.bias.map { Self.open($0).values }
    let target = Self.open(output)
    for row in 0..<rows {
      let run = Array(Self.open(input).values[row * width..<(row + 1) * width])
      let mean = norm.kind == .layer ? run.reduce(0.0) { $0 + Double($1) } / Double(width) : 0
      let square = run.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
      let factor = 1 / (square / Double(width) + Double(norm.epsilon)).squareRoot()
      for (index, value) in run.enumerated() {
        let scaled = (Double(value) - mean) * factor * Double(weight?[index] ?? 1)
        target.values[row * width + index] = Float(scaled + Double(bias?[index] ?? 0))
      }
    }
  }

  public func rotate(
    _ values: Buffer, tokens: Int, heads: Int, headSize: Int, cosines: Buffer, sines: Buffer,
    pairs: Int, positions: [Int32]
  ) {
    let target = Self.open(values)
    let (cosines, sines) = (Self.open(cosines).values, Self.open(sines).values)
    for token in 0..<tokens {
      let angle = Int(positions[token]) * pairs
      for head in 0..<heads {
        let start = (token * heads + head) * headSize
        for pair in 0..<pairs {
          let (x, y) = (target.values[start + pair], target.values[start + pair + pairs])
          let (cosine, sine) = (cosines[angle + pair], sines[angle + pair])
          target.values[start + pair] = x * cosine - y * sine
          target.values[start + pair + pairs] = y * cosine + x * sine
        }
      }
    }
  }

  public func store(
    _ values: Buffer, sequences: Int, tokens: Int, width: Int, into cache: Buffer, capacity: Int,
    at start: Int
  ) {
    let (source, target) = (Self.open(values), Self.open(cache))
    for sequence in 0..<sequences {
      for index in 0..<tokens * width {
        target.values[(sequence * capacity + start) * width + index] =
          source.values[sequence * tokens * width + index]
      }
    }
  }

  public func activate(_ values: Buffer, count: Int, _ activation: Activation) {
    let target = Self.open(values)
    for index in 0..<count { target.values[index] = activation.value(target.values[index]) }
  }

  public func gate(_ gate: Buffer, _ up: Buffer, count: Int, _ activation: Activation) {
    let (target, up) = (Self.open(gate), Self.open(up))
    for index in 0..<count {
      target.values[index] = activation.value(target.values[index]) * up.values[index]
    }
  }

  public func softcap(_ values: Buffer, count: Int, cap: Float) {
    let target = Self.open(values)
    for index in 0..<count {
      target.values[index] = Float(Double(cap) * tanh(Double(target.values[index] / cap)))
    }
  }
}

extension Activation {
  /// f(x), in f64 and rounded once.
  func value(_ x: Float) -> Float {
    let x = Double(x)
    let value: Double =
      switch self {
      case .relu: max(x, 0)
      case .silu: x / (1 + exp(-x))
      case .gelu: x / 2 * (1 + erf(x / 2.0.squareRoot()))
      case .geluTanh: x / 2 * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
      case .quickGelu: x / (1 + exp(-1.702 * x))
      }
    return Float(value)
  }
}
