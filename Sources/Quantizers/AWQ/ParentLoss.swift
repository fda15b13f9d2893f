import Kernels
import TensorCore

/// Mean squared difference between a parent's outputs with its own weights and with others.
///
/// Where the parent is the one linear layer, tr(ΔW·XᵀX·ΔWᵀ) over the Gram matrix of all inputs: the same
/// number without a pass for each candidate. Otherwise the block is run. Sums in f64.
final class ParentLoss {
  private let measure: ([String: Matrix]) throws -> Double

  init(_ block: some Block, _ site: FoldSite, columns: Int, threads: Int) throws {
    measure =
      site.linears == [site.parent]
      ? try Self.byGram(block, site.parent, threads)
      : try Self.byOutputs(block, site.parent)
  }

  func value(_ weights: [String: Matrix]) throws -> Double { try measure(weights) }

  private static func byGram(
    _ block: some Block, _ linear: String, _ threads: Int
  ) throws -> ([String: Matrix]) throws -> Double {
    let original = try block.weight(linear)
    let gram = try block.gram(of: linear, columns: original.columns, threads: threads)
    let count = Double(gram.tokens) * Double(original.rows)
    return { weights in
      guard let weight = weights[linear] else { return 0 }
      let rows = gram.matrix.quadraticForms(of: original - weight, threads: threads)
      return rows.reduce(0, +) / count
    }
  }

  private static func byOutputs(
    _ block: some Block, _ parent: String
  ) throws -> ([String: Matrix]) throws -> Double {
    var expected: [[Float]] = []
    try block.forEachOutput(of: parent, replacing: [:]) { expected.append($2) }
    let outputs = expected
    let count = outputs.reduce(0) { $0 + $1.count }
    return { weights in
      var sum = 0.0
      try block.forEachOutput(of: parent, replacing: weights) { run, _, values in
        sum += squaredDistance(outputs[run], values)
      }
      return sum / Double(count)
    }
  }
}

/// Σ (a − b)², differences in f32, sums in f64.
func squaredDistance(_ left: [Float], _ right: [Float]) -> Double {
  precondition(left.count == right.count)
  return left.withValues { left in
    right.withValues { right in
      var sum = 0.0
      for index in left.indices {
        let difference = Double(left[index] - right[index])
        sum += difference * difference
      }
      return sum
    }
  }
}

extension Block {
  /// XᵀX of a linear layer's inputs and how many tokens went in.
  func gram(
    of linear: String, columns: Int, threads: Int
  ) throws -> (matrix: SquareMatrix, tokens: Int) {
    let gram = SquareMatrix(count: columns)
    var tokens = 0
    try forEachInput(of: linear) { count, values in
      gram.addGram(values.rawSpan, tokens: count, threads: threads)
      tokens += count
    }
    guard tokens > 0 else {
      throw Failure(.usage, at: linear, "no token reached this layer")
    }
    gram.completeTriangle(times: 1, threads: threads)
    return (gram, tokens)
  }
}

extension SquareMatrix {
  /// d·self·dᵀ for each row d of a matrix, self symmetric and f32. O(rows·count²), in parallel.
  func quadraticForms(of rows: Matrix, threads: Int) -> [Double] {
    precondition(rows.columns == count && precision == .single)
    let size = 64
    let parts = rows.rows.dividedRoundingUp(by: size)
    var sums = [Double](repeating: 0, count: rows.rows)
    let found = ParallelResults<[Double]>(count: parts)
    parallelFor(parts, threads: threads) { part in
      let range = part * size..<min((part + 1) * size, rows.rows)
      let width = count * 4
      let bytes = rows.values.rawSpan
      let source = bytes.part(range.lowerBound * width..<range.upperBound * width)
      var products = AlignedBytes(count: range.count * width)
      products.withMutableBytes(count: products.count) { products in
        withBytes {
          BLAS.multiplyTransposed(
            source, rows: range.count, $0, columns: count, depth: count, into: &products)
        }
      }
      let product = products.bytes
      found[part] = (0..<range.count).map { row in
        (row * count..<(row + 1) * count).reduce(0.0) {
          $0 + Double(product.float32(at: $1)) * Double(source.float32(at: $1))
        }
      }
    }
    for part in 0..<parts {
      for (index, value) in (found[part] ?? []).enumerated() { sums[part * size + index] = value }
    }
    return sums
  }
}
