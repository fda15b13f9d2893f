public import Kernels
internal import Models
internal import Quantizers

/// Operations that this machine does in a second, by kind, measured now in a fraction of one.
public struct ArithmeticRates: Sendable {
  /// Products of f32 matrices.
  public let products: Double
  public let attention: Double
  /// Second moments, by the precision they are summed in.
  public let hessians: [SquareMatrix.Precision: Double]
  public let factors: [SquareMatrix.Precision: Double]
  /// GPTQ's loop over columns.
  public let codes: Double
  /// Weights whose ranges are searched.
  public let ranges: Double

  /// By the seconds that `now` tells. Throws `device`.
  public static func measured(threads: Int, now: SecondsClock? = nil) throws -> ArithmeticRates {
    let now = now ?? StageClock.wall
    let size = 1024
    let numbers = (0..<size * size).map { Float(($0 &* 2_654_435_761) >> 7 & 1023) / 512 - 1 }
    let matrix = Matrix(rows: size, columns: size, values: numbers)
    let square = Double(size) * Double(size)
    let cube = square * Double(size)
    let compute: any Compute = CPUCompute(threads: threads)
    let weight = try compute.load(
      MatrixWeight(name: "measured", matrix: matrix), activations: .float)
    let (input, output) = (try compute.makeBuffer(size * size), try compute.makeBuffer(size * size))
    try compute.write(numbers.rawSpan, to: input, at: 0)
    var hessians: [SquareMatrix.Precision: Double] = [:]
    for precision in SquareMatrix.Precision.allCases {
      let sum = HessianSum(
        columns: size, precision: precision, name: "measured", threads: threads)
      hessians[precision] = rate(now, square * Double(size)) { sum.add(numbers) }
    }
    let sum = HessianSum(columns: size, name: "measured", threads: threads)
    sum.add(numbers)
    let hessian = try sum.finish()
    var factors: [SquareMatrix.Precision: Double] = [:]
    for precision in SquareMatrix.Precision.allCases {
      var quantizer = GPTQuantizer()
      quantizer.factorPrecision = precision
      factors[precision] = try rate(now, cube * 2 / 3) {
        _ = try quantizer.factor(hessian, name: "measured", threads: threads)
      }
    }
    let factored = try GPTQuantizer().factor(hessian, name: "measured", threads: threads)
    var shape = AttentionShape(
      tokens: 256, start: 0, capacity: 256, heads: 16, kvHeads: 16, headSize: 64, scale: 0.125)
    shape.sequences = 4
    let attended = shape
    return ArithmeticRates(
      products: try rate(now, 2 * cube) {
        try compute.linear(input, tokens: size, weight, bias: nil, into: output)
      },
      attention: try rate(now, 4 * square * 257 / 2) {
        try compute.attend(input, keys: input, values: input, attended, into: output)
      },
      hessians: hessians, factors: factors,
      codes: try rate(now, 2 * cube) {
        _ = try GPTQuantizer().quantize(matrix, factored, name: "measured", threads: threads)
      },
      ranges: try rate(now, square / 4) {
        _ = try RTN(UniformGrid(search: RangeSearch())).quantize(
          Matrix(rows: size / 4, columns: size, values: Array(numbers.prefix(size * size / 4))),
          name: "measured", threads: threads)
      })
  }

  /// The best of three.
  private static func rate(
    _ now: SecondsClock, _ operations: Double, _ body: () throws -> Void
  ) rethrows -> Double {
    var best = Double.infinity
    for _ in 0..<3 {
      let start = now()
      try body()
      best = min(best, now() - start)
    }
    return operations / max(best, 1e-9)
  }

  /// Seconds that so much arithmetic takes at these rates: an estimate.
  public func seconds(_ arithmetic: ArithmeticForecast) -> [QuantizationStage: Double] {
    let factored = arithmetic.factors.reduce(0.0) { $0 + $1.value / (factors[$1.key] ?? products) }
    return [
      .forward: arithmetic.products / products + arithmetic.attention / attention,
      .hessians: arithmetic.hessians / (hessians[arithmetic.hessianPrecision] ?? products),
      .factors: factored,
      .codes: arithmetic.codes / codes + arithmetic.ranges / ranges,
      .search: arithmetic.search / products,
    ]
  }
}
