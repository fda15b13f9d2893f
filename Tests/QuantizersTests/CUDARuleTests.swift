import Quantizers
import TestKit
import Testing

/// The documented formulas in f64, one value at a time, written apart from the code under test.
private struct Formula {
  let optimizer: Optimizer
  var first = 0.0
  var slow = 0.0
  var squares = 0.0

  mutating func step(_ p: Double, _ raw: Double, _ t: Int) -> Double {
    let o = optimizer.scheduled(at: t)
    let (lr, wd, eps) = (o.learningRate, o.weightDecay, o.epsilon)
    var bias1 = 1.0
    var bias2 = 1.0
    for _ in 0..<t { (bias1, bias2) = (bias1 * o.beta1, bias2 * o.beta2) }
    let (c1, c2) = (1 - bias1, (1 - bias2).squareRoot())
    let g = [.momentum, .rmsprop, .adagrad].contains(o.method) ? raw + wd * p : raw
    let sign: (Double) -> Double = { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
    switch o.method {
    case .adam:
      first = o.beta1 * first + (1 - o.beta1) * g
      squares = o.beta2 * squares + (1 - o.beta2) * g * g
      return (p - lr * c2 / c1 * first / (squares.squareRoot() + eps * c2)) * (1 - lr * wd)
    case .ademamix:
      first = o.beta1 * first + (1 - o.beta1) * g
      slow = o.beta3 * slow + (1 - o.beta3) * g
      squares = o.beta2 * squares + (1 - o.beta2) * g * g
      let update = (first / c1 + o.alpha * slow) / (squares.squareRoot() / c2 + eps)
      return (p - lr * update) * (1 - lr * wd)
    case .momentum:
      first = t == 1 ? g : o.beta1 * first + g
      return p - lr * first
    case .lion:
      let before = p * (1 - lr * wd)
      let direction = sign(o.beta1 * first + (1 - o.beta1) * g)
      first = o.beta2 * first + (1 - o.beta2) * g
      return before - lr * direction
    case .rmsprop:
      first = o.beta1 * first + (1 - o.beta1) * g * g
      return p - lr * g / (first.squareRoot() + eps)
    case .adagrad:
      first += g * g
      return p - lr * g / (first.squareRoot() + eps)
    }
  }
}

@Suite("Steps by the CUDA rules, beside the formulas")
struct CUDARuleTests {
  private static let names = peerOptimizers.keys.filter { $0 != "lamb" && $0 != "lars" }.sorted()

  @Test("32-bit states over 300 steps in f64", arguments: names)
  func dense(name: String) throws {
    let optimizer = try #require(peerOptimizers[name])
    let count = 40
    var random = SplitMix64(seed: 0x0C)
    var parameters = random.values(count)
    var wide = parameters.map(Double.init)
    var formulas = [Formula](repeating: Formula(optimizer: optimizer), count: count)
    var state = DenseOptimizerState(count: count, method: optimizer.method)
    for step in 1...300 {
      let gradients = random.values(count)
      optimizer.step(&parameters, gradients: gradients, state: &state)
      for index in 0..<count {
        wide[index] = formulas[index].step(wide[index], Double(gradients[index]), step)
      }
    }
    for index in 0..<count {
      #expect(abs(Double(parameters[index]) - wide[index]) <= 2e-5, "\(index)")
      #expect(
        abs(Double(state.first[index]) - formulas[index].first) <= 1e-5
          * (1 + abs(formulas[index].first)))
    }
  }

  @Test("8-bit states: every step from its decoded states", arguments: names)
  func blockwise(name: String) throws {
    let optimizer = try #require(peerOptimizers[name])
    // A multiple of 256, so that AdEMAMix' scales lie where they are read.
    let count = optimizer.method == .ademamix ? 256 : 300
    var random = SplitMix64(seed: 0x0D)
    var parameters = random.values(count)
    var state = BlockwiseOptimizerState(count: count, method: optimizer.method)
    for step in 1...300 {
      let before = DenseOptimizerState(state)
      let old = parameters
      let gradients = random.values(count)
      optimizer.step(&parameters, gradients: gradients, state: &state)
      let after = DenseOptimizerState(state)
      for index in 0..<count {
        var formula = Formula(optimizer: optimizer)
        formula.first = Double(before.first[index])
        formula.slow = Double(before.slow?[index] ?? 0)
        formula.squares = Double(before.squares?[index] ?? 0)
        let expected = formula.step(Double(old[index]), Double(gradients[index]), step)
        let absmax = Double(state.first.absmax[index / 256])
        // Half of the widest gap of the map, 1/64 of the scale, and the move that keeps the sign.
        try #require(abs(Double(after.first[index]) - formula.first) <= absmax / 64, "step \(step)")
        try #require(after.first[index] * Float(formula.first) >= 0)
        try #require(
          abs(Double(parameters[index]) - expected) <= 1e-5 * (1 + abs(expected)),
          "step \(step) \(index)")
      }
    }
  }

  @Test("NaN and infinity clear the states of two-state methods and leave the parameter")
  func notFinite() {
    for optimizer in [Optimizer.adam, .adEMAMix] {
      var parameters = [Float](repeating: 0.5, count: 300)
      var state = BlockwiseOptimizerState(count: 300, method: optimizer.method)
      optimizer.step(&parameters, gradients: [Float](repeating: 0.25, count: 300), state: &state)
      let before = parameters
      var gradients = [Float](repeating: 0.25, count: 300)
      (gradients[3], gradients[299]) = (.nan, -.infinity)
      optimizer.step(&parameters, gradients: gradients, state: &state)
      #expect(parameters[3] == before[3] && parameters[299] == before[299])
      #expect(parameters[4] != before[4])
      let values = DenseOptimizerState(state)
      #expect(values.first[3] == 0 && values.squares?[299] == 0 && values.slow?[3] ?? 0 == 0)
    }
  }

  @Test("RMSprop and Adagrad step along the gradient as it came")
  func rawGradient() {
    for optimizer in [Optimizer.rmsProp, .adagrad] {
      var parameters: [Float] = [1]
      var state = BlockwiseOptimizerState(count: 1, method: optimizer.method)
      optimizer.step(&parameters, gradients: [0.5], state: &state, gradientScale: 0.25)
      // The state has the scaled one, the step the raw one.
      let rest: Float = optimizer.method == .rmsprop ? 1 - 0.99 : 1
      let root = (rest * 0.125 * 0.125).squareRoot()
      #expect(abs(parameters[0] - (1 - 0.01 * 0.5 / root)) < 1e-4)
    }
  }

  @Test("a block of zeros has the last code and no scale; signs are kept")
  func zeros() {
    let zeros = BlockwiseState(
      quantizing: [0, 0], map: DynamicMap.signed, keepsSign: true)
    #expect(zeros.codes == [255, 255] && zeros.absmax == [0] && zeros.values == [0, 0])
    let kept = BlockwiseState(
      quantizing: [1, -1e-9, 1e-9, 0], map: DynamicMap.signed, keepsSign: true)
    #expect(kept.codes == [255, 126, 127, 127])
    let cpu = BlockwiseState(
      quantizing: [1, 0], map: DynamicMap.signed, keepsSign: false, rules: .cpu)
    #expect(cpu.codes == [255, 131])
  }

  @Test("fillers of the last block take part in its scale")
  func fillers() {
    var parameters: [Float] = [0]
    let first = BlockwiseState(codes: [127], absmax: [8], map: DynamicMap.signed)
    var state = BlockwiseOptimizerState(first: first, step: 1)
    Optimizer.sgd(learningRate: 1, momentum: 0.5)
      .step(&parameters, gradients: [0], state: &state)
    #expect(state.first.absmax == [DynamicMap.signed[128] * 8 * 0.5])
  }

  @Test("the slow average's scales lie one place early unless 256 divides the count")
  func misaligned() {
    var parameters = [Float](repeating: 0, count: 300)
    var state = BlockwiseOptimizerState(count: 300, method: .ademamix)
    Optimizer.adEMAMix.step(
      &parameters, gradients: [Float](repeating: 1, count: 300), state: &state)
    // Block 0 shares its place with the last fast block, which wins; block 1 is at place 2.
    #expect(state.first.absmax == [1 - Float(0.9), 1 - Float(0.9)])
    #expect(state.slow?.absmax == [1 - Float(0.9999), 0])
  }

  @Test("maps of the peer")
  func maps() {
    #expect(SHA256Text.of(DynamicMap.signed).hasPrefix("e732639a65f497b4ad684bb166a44677"))
    #expect(SHA256Text.of(DynamicMap.unsigned).hasPrefix("305f002cc11278fb769d13b25b9fd0c7"))
  }

  @Test("percentile clipping: a window of a hundred squares")
  func clipping() {
    var clipping = PercentileClipping(percentile: 5)
    #expect(clipping.scale([3, 4], step: 1) == 1)
    #expect(clipping.squares == [Float](repeating: 25, count: 100))
    #expect(clipping.scale([6, 8], step: 2) == 0.5)
    #expect(clipping.squares[2] == 100)
    for step in 3...8 { _ = clipping.scale([0.6, 0.8], step: step) }
    #expect(clipping.scale([3, 4], step: 9) == 0.2)
    var off = PercentileClipping(percentile: 100)
    _ = off.scale([1], step: 1)
    #expect(off.scale([100], step: 2) == 1)
  }

  @Test("the longest update: only with 32-bit states")
  func longest() {
    for (optimizer, most) in [
      (Optimizer.lars(learningRate: 1, momentum: 0), Float(0.02)), (.lamb, 1),
    ] {
      for rules in PeerRules.allCases {
        var parameters: [Float] = [0.03, 0.04]
        var state = DenseOptimizerState(count: 2, method: optimizer.method)
        optimizer.step(&parameters, gradients: [30, 40], state: &state, rules: rules)
        let moved =
          ((0.03 - parameters[0]) * (0.03 - parameters[0]) + (0.04 - parameters[1])
            * (0.04 - parameters[1]))
          .squareRoot()
        #expect(moved <= most * 0.05 * 1.001, "\(optimizer.name) \(rules) \(moved)")
      }
    }
  }

  /// Plain numbers, those on and beside every limit, zeros, what is no number.
  @Test(
    "codes of blocks are those of their values one by one", arguments: PeerRules.allCases,
    [true, false])
  func codesOfBlocks(rules: PeerRules, signed: Bool) {
    let map = signed ? DynamicMap.signed : DynamicMap.unsigned
    let quantizer = StateQuantizer(map: map, keepsSign: signed, rules: rules)
    var random = SplitMix64(seed: 0x2F)
    let limits = zip(map, map.dropFirst()).map { ($0 + $1) * 0.5 }
    let edges = [Float(1)] + limits.flatMap { [$0, $0.nextUp, $0.nextDown, -$0] }
    let kinds = [
      random.values(700), edges, map, [Float](repeating: 0, count: 40), [-0.0, .nan, 3, -1e-30],
      edges.map { $0 * 0x1p-120 },
    ]
    for (values, block) in kinds.flatMap({ kind in [1, 100, 256, 4096].map { (kind, $0) } }) {
      let scales = quantizer.scales(values, block: block)
      let expected = values.enumerated().map { quantizer.code($1, scales[$0 / block]) }
      #expect(quantizer.codes(values, absmax: scales, block: block) == expected)
      for (index, scale) in scales.enumerated() {
        let part = values[index * block..<min((index + 1) * block, values.count)]
        #expect(scale == quantizer.scale(part))
      }
    }
  }

  @Test("a map that is no dynamic one is searched")
  func otherMaps() {
    let map = (0..<256).map { Float($0) / 255 }
    let quantizer = StateQuantizer(map: map, keepsSign: false, rules: .cuda)
    let codes = quantizer.codes([0, 2, 1, 0.5], absmax: [2, 1], block: 2)
    #expect(codes == [0, 255, 255, quantizer.code(0.5, 1)])
  }
}
