import Kernels
import TensorCore

/// Mean squared differences between a parent's outputs with its own weights and with those of some candidates.
///
/// Where the parent is the one linear layer, tr(ΔW·XᵀX·ΔWᵀ) over the Gram matrix of all inputs: the same
/// number without a pass for each candidate. Otherwise the block is run, part by part of the tokens, so that
/// memory holds the outputs of one part. Sums in f64, in the order of tokens whatever the parts.
struct ParentLoss<Parent: Block> {
  /// A candidate's weights by linear layer; nil: none, its loss is NaN.
  typealias Candidate = (_ index: Int) throws -> [String: Matrix]?

  let block: Parent
  let site: FoldSite
  let threads: Int

  /// One loss for each candidate; nil where no token reaches the parent.
  func values(_ count: Int, _ candidate: Candidate) throws -> [Double]? {
    site.linears == [site.parent]
      ? try byGram(count, candidate) : try byOutputs(count, candidate)
  }

  private func byGram(_ count: Int, _ candidate: Candidate) throws -> [Double]? {
    let linear = site.parent
    let original = try block.weight(linear)
    guard let gram = try block.gram(of: linear, columns: original.columns, threads: threads)
    else { return nil }
    let numbers = Double(gram.tokens) * Double(original.rows)
    return try (0..<count).map { index in
      guard let weights = try candidate(index) else { return .nan }
      guard let weight = weights[linear] else { return 0 }
      return gram.matrix.sumOfForms(of: weight, minus: original, threads: threads) / numbers
    }
  }

  private func byOutputs(_ count: Int, _ candidate: Candidate) throws -> [Double]? {
    var sums = [Double](repeating: 0, count: count)
    var numbers = 0
    for runs in try block.parts(of: site.parent) {
      var expected: [[Float]] = []
      try block.forEachOutput(of: site.parent, in: runs, replacing: [:]) { expected.append($1) }
      numbers += expected.reduce(0) { $0 + $1.count }
      for index in 0..<count {
        guard let weights = try candidate(index) else {
          sums[index] = .nan
          continue
        }
        var place = 0
        try block.forEachOutput(of: site.parent, in: runs, replacing: weights) { _, values in
          sums[index] += squaredDistance(expected[place], values)
          place += 1
        }
      }
    }
    return numbers > 0 ? sums.map { $0 / Double(numbers) } : nil
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
