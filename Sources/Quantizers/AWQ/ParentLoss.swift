import Kernels
import TensorCore

/// Mean squared difference between a parent's outputs with its own weights and with others.
///
/// Where the parent is the one linear layer, tr(ΔW·XᵀX·ΔWᵀ) over the Gram matrix of all inputs: the same
/// number without a pass for each candidate. Otherwise the block is run. Sums in f64.
final class ParentLoss {
  private let measure: ([String: Matrix]) throws -> Double

  /// nil where no token reaches the parent.
  init?(_ block: some Block, _ site: FoldSite, threads: Int) throws {
    let found =
      site.linears == [site.parent]
      ? try Self.byGram(block, site.parent, threads)
      : try Self.byOutputs(block, site.parent)
    guard let found else { return nil }
    measure = found
  }

  func value(_ weights: [String: Matrix]) throws -> Double { try measure(weights) }

  private static func byGram(
    _ block: some Block, _ linear: String, _ threads: Int
  ) throws -> (([String: Matrix]) throws -> Double)? {
    let original = try block.weight(linear)
    guard let gram = try block.gram(of: linear, columns: original.columns, threads: threads)
    else { return nil }
    let count = Double(gram.tokens) * Double(original.rows)
    return { weights in
      guard let weight = weights[linear] else { return 0 }
      return gram.matrix.sumOfForms(of: weight, minus: original, threads: threads) / count
    }
  }

  private static func byOutputs(
    _ block: some Block, _ parent: String
  ) throws -> (([String: Matrix]) throws -> Double)? {
    var expected: [[Float]] = []
    try block.forEachOutput(of: parent, replacing: [:]) { expected.append($2) }
    let outputs = expected
    let count = outputs.reduce(0) { $0 + $1.count }
    guard count > 0 else { return nil }
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
  /// XᵀX of a linear layer's inputs and how many tokens went in; nil where none did.
  func gram(
    of linear: String, columns: Int, threads: Int
  ) throws -> (matrix: SquareMatrix, tokens: Int)? {
    let gram = SquareMatrix(count: columns)
    var tokens = 0
    try forEachInput(of: linear) { count, values in
      gram.addGram(values.rawSpan, tokens: count, threads: threads)
      tokens += count
    }
    guard tokens > 0 else { return nil }
    gram.completeTriangle(times: 1, threads: threads)
    return (gram, tokens)
  }
}

extension SquareMatrix {
  /// Σ of e·self·eᵀ over the rows e of a difference of matrices, self symmetric and f32. O(rows·count²/2), in
  /// parallel.
  func sumOfForms(of matrix: Matrix, minus other: Matrix, threads: Int) -> Double {
    precondition(matrix.columns == count && other.columns == count && matrix.rows == other.rows)
    let size = 128
    let parts = matrix.rows.dividedRoundingUp(by: size)
    let found = ParallelResults<Double>(count: parts)
    parallelFor(parts, threads: threads) { part in
      let range = part * size * count..<min((part + 1) * size, matrix.rows) * count
      var errors = Array(matrix.values[range])
      other.values.withValues { other in
        for index in errors.indices { errors[index] -= other[range.lowerBound + index] }
      }
      found[part] = quadraticForms(of: errors.rawSpan).reduce(0, +)
    }
    return (0..<parts).reduce(0) { $0 + (found[$1] ?? 0) }
  }
}
