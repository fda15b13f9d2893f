public import Kernels
public import TensorCore

/// The product of LLM.int8(): most columns in int8, the few with outliers in floating point
/// (Dettmers et al., 2022).
public struct MixedProduct: Equatable, Sendable {
  /// [tokens][outputs], row-major, values of the type of the input.
  public let values: [Float]
  /// Which columns were multiplied in floating point.
  public let outlierColumns: [Int]
  /// The values of the input that were outliers.
  public let outlierCount: Int

  /// input [tokens][inputs] times the transpose of the weights [outputs][inputs], plus `bias`.
  ///
  /// The integer part is exact. By the CUDA rules it becomes sum · token scale · row scale, each
  /// product rounded, then one fused 6.200012e-5 · that + bias, rounded to f16 and then to `type`;
  /// by the CPU's sum · (token scale · row scale) · 6.200124e-5 + bias, rounded to `type`. Columns
  /// of outliers are then added in f32, rounded to `type` once more; the peers' libraries sum them
  /// in orders of their own. O(tokens·outputs·inputs), in parallel.
  ///
  /// Throws `usage` where shapes do not fit, `cannotRepresent` where a value is not finite in f16.
  public init(
    _ input: [Float], weights: Int8Matrix, threshold: Float = 6, bias: [Float]? = nil,
    type: ParameterType = .f16, rules: PeerRules = .cuda, threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) throws(Failure) {
    let depth = weights.columns
    guard input.count % depth == 0, bias.map({ $0.count == weights.rows }) ?? true,
      depth <= Int8Product.maxDepth
    else {
      throw Failure(
        .usage, at: "int8 product", "shapes do not fit each other",
        expected: "[n, \(depth)], at most \(Int8Product.maxDepth), bias [\(weights.rows)]",
        found: "\(input.count) values, bias \(bias?.count ?? weights.rows)")
    }
    let tokens = try Int8Matrix(quantizing: input, columns: depth, threshold: threshold)
    let sums = Self.sums(tokens, weights, threads: threads, on: level)
    let scaling = Scaling(type: type, rules: rules)
    var values = [Float](repeating: 0, count: tokens.rows * weights.rows)
    for token in 0..<tokens.rows {
      for row in 0..<weights.rows {
        let index = token * weights.rows + row
        var value = scaling.value(
          sums[index], token: tokens.scales[token], row: weights.scales[row], bias: bias?[row])
        if !tokens.outlierColumns.isEmpty {
          // The columns as they came, not cut to f16.
          let added = tokens.outlierColumns.reduce(Float(0)) { sum, column in
            sum + input[token * depth + column]
              * type.rounded(weights.value(row: row, column: column))
          }
          value = type.rounded(value + added)
        }
        values[index] = value
      }
    }
    self.values = values
    outlierColumns = tokens.outlierColumns
    outlierCount = tokens.outlierCount
  }

  private static func sums(
    _ tokens: Int8Matrix, _ weights: Int8Matrix, threads: Int, on level: Processor.Level
  ) -> [Int32] {
    let count = tokens.rows * weights.rows
    var block = AlignedBytes(count: count * 4)
    let left = tokens.codes.map { UInt8(bitPattern: $0) }
    let right = weights.codes.map { UInt8(bitPattern: $0) }
    var target = block.mutableBytes
    Int8Product.multiply(
      left.rawSpan, rows: tokens.rows, right.rawSpan, columns: weights.rows,
      depth: weights.columns, into: &target, threads: threads, on: level)
    let bytes = block.bytes
    return (0..<count).map { Int32(bitPattern: bytes.uint32(at: $0)) }
  }
}

/// From sums of integers to values.
private struct Scaling {
  let type: ParameterType
  let rules: PeerRules

  func value(_ sum: Int32, token: Float, row: Float, bias: Float?) -> Float {
    switch rules {
    case .cuda:
      // The kernel adds a bias of f16 alone; another is added to what it gives.
      let scaled = Float(sum) * token * row
      guard type == .f16 else {
        let value = ParameterType.f16.rounded(scaled * 6.200012e-5)
        return type.rounded(bias.map { ParameterType.f16.rounded(value + $0) } ?? value)
      }
      return type.rounded((bias ?? 0).addingProduct(scaled, 6.200012e-5))
    case .cpu:
      let value = Float(sum) * (token * row) * 6.200124e-5
      return type.rounded(bias.map { value + $0 } ?? value)
    }
  }
}
