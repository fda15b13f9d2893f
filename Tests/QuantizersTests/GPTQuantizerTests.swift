import Kernels
import Quantizers
import TensorCore
import TestKit
import Testing

/// A layer with inputs whose channels differ and depend on each other.
private struct Layer {
  let weight: Matrix
  let inputs: [Float]
  let columns: Int

  init(rows: Int, columns: Int, tokens: Int = 96, seed: UInt64 = 1) {
    var random = SplitMix64(seed: seed)
    self.columns = columns
    weight = Matrix(
      rows: rows, columns: columns,
      values: (0..<rows * columns).map { _ in Float.random(in: -1...1, using: &random) })
    var inputs: [Float] = []
    for _ in 0..<tokens {
      let shared = Float.random(in: -1...1, using: &random)
      for column in 0..<columns {
        let own = Float.random(in: -1...1, using: &random)
        inputs.append((shared + own) * (1 + Float(column % 5)))
      }
    }
    self.inputs = inputs
  }

  func hessian(_ precision: SquareMatrix.Precision = .single) throws -> Hessian {
    let sum = HessianSum(columns: columns, precision: precision, name: "layer")
    sum.add(inputs)
    return try sum.finish()
  }
}

/// tr(E·H·Eᵀ) in f64.
private func trace(_ errors: [Double], _ hessian: [Double], columns: Int) -> Double {
  var sum = 0.0
  for row in 0..<errors.count / columns {
    for i in 0..<columns {
      var dot = 0.0
      for j in 0..<columns { dot += hessian[i * columns + j] * errors[row * columns + j] }
      sum += errors[row * columns + i] * dot
    }
  }
  return sum
}

/// A square matrix in f64.
private struct Square {
  let count: Int
  private var values: [Double]

  init(_ count: Int) {
    self.count = count
    values = [Double](repeating: 0, count: count * count)
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[row * count + column] }
    set { values[row * count + column] = newValue }
  }

  private func map(_ body: (Int, Int) -> Double) -> Square {
    var result = self
    for i in 0..<count { for j in 0..<count { result[i, j] = body(i, j) } }
    return result
  }

  var transposed: Square { map { self[$1, $0] } }
  /// Zeros on and below the diagonal.
  var strictUpper: Square { map { $1 > $0 ? self[$0, $1] : 0 } }

  static func * (left: Square, right: Square) -> Square {
    left.map { i, j in (0..<left.count).reduce(0) { $0 + left[i, $1] * right[$1, j] } }
  }

  /// U, upper, with self⁻¹ = Uᵀ·U: the inverse of R, upper, with self = R·Rᵀ, column by column.
  var inverseFactor: Square {
    var root = map { _, _ in 0 }
    for j in (0..<count).reversed() {
      for i in (0...j).reversed() {
        let sum = (j + 1..<count).reduce(self[i, j]) { $0 - root[i, $1] * root[j, $1] }
        root[i, j] = i == j ? sum.squareRoot() : sum / root[j, j]
      }
    }
    var inverse = map { _, _ in 0 }
    for j in 0..<count {
      inverse[j, j] = 1 / root[j, j]
      for i in (0..<j).reversed() {
        let sum = (i + 1...j).reduce(0) { $0 + root[i, $1] * inverse[$1, j] }
        inverse[i, j] = -sum / root[i, i]
      }
    }
    return inverse
  }
}

@Suite("GPTQ")
struct GPTQuantizerTests {
  private func settings(
    _ codes: UniformGrid.Codes = .bits(4), _ groupSize: Int? = 16, symmetric: Bool = true,
    order: GPTQuantizer.Order = .stored
  ) -> GPTQuantizer {
    var settings = GPTQuantizer(
      UniformGrid(codes, groupSize: groupSize, isSymmetric: symmetric, scaleType: .f32))
    settings.order = order
    return settings
  }

  private static let grids: [(UniformGrid.Codes, Int?, Bool)] = [
    (.bits(4), 16, true), (.bits(3), nil, false), (.bits(2), 24, false), (.ternary, 16, true),
    (.bits(8), 40, false), (.bits(5), 7, true),
  ]

  @Test("the loss of the loop is the loss of the weights", arguments: GPTQuantizer.Order.allCases)
  func lossIdentity(order: GPTQuantizer.Order) throws {
    let layer = Layer(rows: 5, columns: 50)
    let hessian = try layer.hessian()
    let values = hessian.values.map(Double.init)
    for (index, grid) in Self.grids.enumerated() {
      var settings = settings(grid.0, grid.1, symmetric: grid.2, order: order)
      settings.hasStaticGroups = index % 2 == 1
      settings.compensatesRanges = index % 3 == 0
      settings.blockSize = index % 2 == 0 ? 128 : 20
      let result = try settings.quantize(layer.weight, hessian, name: "layer")
      let errors = zip(layer.weight.values, result.matrix.dequantized()).map {
        Double($0) - Double($1)
      }
      var damped = values
      let mean = hessian.importance.reduce(0.0) { $0 + Double($1) } / 50
      for i in 0..<50 { damped[i * 51] += 0.05 * mean }
      let loss = try #require(result.report.loss)
      let expected = trace(errors, damped, columns: 50)
      #expect((loss / expected - 1).magnitude < 1e-4, "\(order) \(grid)")
      // And the output's error is that of the tokens alone.
      let lost = trace(errors, values, columns: 50)
      let had = trace(layer.weight.values.map(Double.init), values, columns: 50)
      let error = try #require(result.report.outputError)
      #expect((error / (lost / had).squareRoot() - 1).magnitude < 1e-3, "\(order) \(grid)")
    }
  }

  /// q = Q(w + Σ (w[j] − q[j])·A[i][j]/A[i][i]) over the columns j before i, with H = Aᵀ·A, A lower: what
  /// error feedback comes to without any update of the weights (Babai's nearest plane).
  private func nearestPlane(
    _ weight: [Float], _ hessian: [Double], _ columns: Int, scale: Float, zero: Float, top: Int
  ) -> [UInt8] {
    // A from the last row on: A[i][i]² = H[i][i] − Σ A[k][i]², k after i.
    var a = hessian
    for i in (0..<columns).reversed() {
      var square = hessian[i * columns + i]
      for k in i + 1..<columns { square -= a[k * columns + i] * a[k * columns + i] }
      a[i * columns + i] = square.squareRoot()
      for j in 0..<i {
        var value = hessian[i * columns + j]
        for k in i + 1..<columns { value -= a[k * columns + i] * a[k * columns + j] }
        a[i * columns + j] = value / a[i * columns + i]
      }
    }
    var (codes, errors) = ([UInt8](), [Double]())
    for i in 0..<columns {
      var value = Double(weight[i])
      for j in 0..<i { value += errors[j] * a[i * columns + j] / a[i * columns + i] }
      let code = Reference.code(Float(value), scale, zero, top: top)
      codes.append(UInt8(code))
      errors.append(Double(weight[i]) - Double(scale) * Double(code - zero))
    }
    return codes
  }

  @Test("codes are those of the nearest plane", arguments: [(2, true), (3, false), (4, true)])
  func nearestPlane(bits: Int, symmetric: Bool) throws {
    let layer = Layer(rows: 6, columns: 40, seed: UInt64(bits))
    let hessian = try layer.hessian(.double)
    let result = try settings(.bits(bits), nil, symmetric: symmetric)
      .quantize(layer.weight, hessian, name: "layer")
    var damped = hessian.values.map(Double.init)
    let mean = hessian.importance.reduce(0.0) { $0 + Double($1) } / 40
    for i in 0..<40 { damped[i * 41] += 0.05 * mean }
    for row in 0..<6 {
      let codes = nearestPlane(
        Array(layer.weight.values[row * 40..<(row + 1) * 40]), damped, 40,
        scale: result.matrix.scales[row], zero: Float(result.matrix.zeros[row]),
        top: 1 << bits - 1)
      #expect(codes == Array(result.matrix.codes[row * 40..<(row + 1) * 40]), "row \(row)")
    }
  }

  @Test("blocks change nothing but rounding")
  func blocks() throws {
    let layer = Layer(rows: 8, columns: 150)
    let hessian = try layer.hessian()
    for order in GPTQuantizer.Order.allCases {
      var whole = settings(.bits(4), nil, order: order)
      let expected = try whole.quantize(layer.weight, hessian, name: "layer")
      for size in [1, 7, 64] {
        whole.blockSize = size
        let found = try whole.quantize(layer.weight, hessian, name: "layer")
        #expect(found.matrix == expected.matrix, "\(size)")
      }
    }
  }

  @Test("two columns by hand")
  func byHand() throws {
    // H = [[2, 1], [1, 2]] and hardly any damping: U[0] = (√(2/3), −1/√6), so an error e of the first column
    // moves the second by e/2 (−U01/U00 = 1/2).
    let hessian = try Hessian([2, 1, 1, 2], columns: 2, tokens: 1, name: "layer")
    var settings = settings(.bits(2), nil)
    settings.dampPercent = 1e-6
    let weight = Matrix(rows: 1, columns: 2, values: [1.5, -3])
    // Range −3 … 3: scale 2, zero 2. 1.5 → 0.75 → 1 → 2, error −0.5; then −3 − 0.25 = −3.25 → −2 → −4.
    let result = try settings.quantize(weight, hessian, name: "layer")
    #expect(result.matrix.codes == [3, 0])
    #expect(result.matrix.scales == [2] && result.matrix.zeros == [2])
    let loss = try #require(result.report.loss)
    // E = (−0.5, 1): 2·0.25 − 2·0.5 + 2·1.
    #expect((loss - 1.5).magnitude < 1e-4)
  }

  @Test("threads and division into runs change no bit")
  func determinism() throws {
    let layer = Layer(rows: 300, columns: 48, tokens: 1100)
    let one = HessianSum(columns: 48, name: "layer", threads: 1)
    one.add(layer.inputs)
    let many = HessianSum(columns: 48, name: "layer", threads: 3)
    for start in stride(from: 0, to: 1100, by: 37) {
      many.add(Array(layer.inputs[start * 48..<min(start + 37, 1100) * 48]))
    }
    let (first, second) = try (one.finish(), many.finish())
    #expect(first.values == second.values && second.tokens == 1100)
    let settings = settings(order: .groupAware)
    var a = try settings.quantize(layer.weight, first, name: "layer", threads: 1)
    var b = try settings.quantize(layer.weight, second, name: "layer", threads: 3)
    (a.report.seconds, b.report.seconds) = (0, 0)
    #expect(a == b)
  }

  @Test("better than rounding to nearest")
  func beatsRTN() throws {
    let layer = Layer(rows: 16, columns: 96, tokens: 200)
    let hessian = try layer.hessian()
    let values = hessian.values.map(Double.init)
    let rounded = try RTN(settings(.bits(3)).grid).quantize(layer.weight, name: "layer")
    let loss = { (matrix: QuantizedMatrix) in
      trace(
        zip(layer.weight.values, matrix.dequantized()).map { Double($0) - Double($1) }, values,
        columns: 96)
    }
    for order in GPTQuantizer.Order.allCases {
      let result = try settings(.bits(3), order: order)
        .quantize(layer.weight, hessian, name: "layer")
      #expect(loss(result.matrix) < 0.8 * loss(rounded.matrix), "\(order)")
    }
  }

  @Test("inputs that drifted")
  func asymmetry() throws {
    let layer = Layer(rows: 12, columns: 32, tokens: 300)
    var random = SplitMix64(seed: 8)
    let original = layer.inputs.enumerated().map {
      $1 * (1 + 0.2 * Float(($0 % 32) % 3)) + Float.random(in: -0.1...0.1, using: &random)
    }
    let sum = HessianSum(columns: 32, hasDrift: true, name: "layer")
    sum.add(layer.inputs, original: original)
    let hessian = try sum.finish()
    /// ‖W·x₀ − Q·x‖².
    let distance = { (matrix: QuantizedMatrix) -> Double in
      let values = matrix.dequantized()
      var sum = 0.0
      for token in 0..<300 {
        for row in 0..<12 {
          let outputs = (0..<32).reduce(Float(0)) {
            $0 + layer.weight.values[row * 32 + $1] * original[token * 32 + $1]
              - values[row * 32 + $1] * layer.inputs[token * 32 + $1]
          }
          sum += Double(outputs * outputs)
        }
      }
      return sum
    }
    var settings = settings(.bits(8), nil)
    settings.hasStaticGroups = true
    let plain = try settings.quantize(layer.weight, hessian, name: "layer")
    settings.asymmetry = 1
    let answering = try settings.quantize(layer.weight, hessian, name: "layer")
    #expect(distance(answering.matrix) < 0.9 * distance(plain.matrix))
    let still = HessianSum(columns: 32, hasDrift: true, name: "layer")
    still.add(layer.inputs, original: layer.inputs)
    let same = try settings.quantize(layer.weight, still.finish(), name: "layer")
    #expect(same.matrix == plain.matrix)
  }

  @Test("GPTAQ's loop in f64")
  func asymmetryByTheFormula() throws {
    let (rows, columns) = (6, 20)
    let layer = Layer(rows: rows, columns: columns, tokens: 120, seed: 3)
    var random = SplitMix64(seed: 4)
    let original = layer.inputs.map { $0 * 1.1 + Float.random(in: -0.3...0.3, using: &random) }
    let sum = HessianSum(columns: columns, precision: .double, hasDrift: true, name: "layer")
    sum.add(layer.inputs, original: original)
    let hessian = try sum.finish()
    var settings = settings(.bits(3), nil)
    (settings.asymmetry, settings.factorPrecision) = (0.25, .double)
    let result = try settings.quantize(layer.weight, hessian, name: "layer")
    var moments = Square(columns)
    var drift = Square(columns)
    for token in 0..<120 {
      for i in 0..<columns {
        for j in 0..<columns {
          let x = Double(layer.inputs[token * columns + j])
          let y = Double(layer.inputs[token * columns + i])
          moments[i, j] += y * x / 60
          drift[i, j] += (Double(original[token * columns + i]) - y) * x / 60
        }
      }
    }
    let mean = (0..<columns).reduce(0) { $0 + moments[$1, $1] } / Double(columns)
    for i in 0..<columns { moments[i, i] += 0.05 * mean }
    let factor = moments.inverseFactor
    let moved = (drift * factor.transposed).strictUpper * factor
    for row in 0..<rows {
      var weights = layer.weight.values[row * columns..<(row + 1) * columns].map(Double.init)
      let scale = result.matrix.scales[row]
      for i in 0..<columns {
        let code = Reference.code(Float(weights[i]), scale, 4, top: 7)
        #expect(UInt8(code) == result.matrix.codes[row * columns + i], "\(row), \(i)")
        let error = (weights[i] - Double(scale) * Double(code - 4)) / factor[i, i]
        let value = weights[i]
        for j in i + 1..<columns {
          weights[j] += 0.25 * value * moved[i, j] - error * factor[i, j]
        }
      }
    }
  }

  @Test("weighted ranges are those of rounding to nearest")
  func weightedRanges() throws {
    let layer = Layer(rows: 5, columns: 30)
    let hessian = try layer.hessian()
    var settings = settings(.bits(2), nil)
    settings.grid.search = RangeSearch(isWeighted: true)
    let fed = try settings.quantize(layer.weight, hessian, name: "layer")
    let rounded = try RTN(settings.grid).quantize(
      layer.weight, importance: hessian.importance, name: "layer")
    #expect(fed.matrix.scales == rounded.matrix.scales)
    settings.grid.search = RangeSearch()
    let plain = try settings.quantize(layer.weight, hessian, name: "layer")
    #expect(fed.matrix.scales != plain.matrix.scales)
  }

  @Test(arguments: GPTQuantizer.Order.allCases)
  func boundsHoldRangesAndNotWeights(order: GPTQuantizer.Order) throws {
    let layer = Layer(rows: 3, columns: 32)
    var settings = settings(.bits(2), 16, symmetric: false, order: order)
    settings.hasStaticGroups = true
    let hessian = try settings.factor(layer.hessian(), name: "layer")
    var bounds = ClipBounds(rows: 3, groups: 2, size: 16)
    let free = try settings.quantize(layer.weight, hessian, within: bounds, name: "layer")
    #expect(free.matrix == (try settings.quantize(layer.weight, hessian, name: "layer")).matrix)
    bounds.values[3] = 0.25
    let held = try settings.quantize(layer.weight, hessian, within: bounds, name: "layer")
    let (was, becomes) = (free.matrix.scales, held.matrix.scales)
    for group in 0..<6 where group != 3 {
      #expect(was[group] == becomes[group])
    }
    // Two bits of a range of at most ±0.25.
    #expect(becomes[3] <= 0.5 / 3 + 1e-6 && was[3] > 0.5 / 3)
  }

  @Test func boundsOfOtherGroupsAreRefused() throws {
    let layer = Layer(rows: 3, columns: 32)
    let settings = settings()
    let hessian = try settings.factor(layer.hessian(), name: "layer")
    for bounds in [
      ClipBounds(rows: 2, groups: 2, size: 16), ClipBounds(rows: 3, groups: 1, size: 32),
    ] {
      #expect(throws: Failure.self) {
        try settings.quantize(layer.weight, hessian, within: bounds, name: "layer")
      }
    }
  }
}
