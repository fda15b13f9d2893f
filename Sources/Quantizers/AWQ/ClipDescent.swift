import Kernels
import TensorCore

/// Clips the groups of each row one after the other, each so that the error of the row's outputs is least, given what
/// the other groups err by: every step lowers e·XᵀX·eᵀ or leaves the group as it is.
struct ClipDescent {
  /// Rows that go together: the same whatever the number of threads.
  static let part = 64
  /// How often all groups have their turn. On trained models the second time takes some percent off the divergence
  /// of 3-bit models, the third nothing.
  static let passes = 2

  let grid: AWQGrid
  let shares: [Float]
  /// XᵀX of the inputs.
  let gram: SquareMatrix
  let level: Processor.Level

  /// A group of columns as it is clipped now.
  private struct Step {
    let columns: Range<Int>
    let group: ClippedGroup
    /// What rounding makes of the weights minus what they are, f32 `[rows][columns]`.
    var errors: [Float]
    /// One of each row.
    var bounds: [Float]
  }

  /// O(rows·columns²), in parallel.
  func bounds(of weight: Matrix, threads: Int) -> ClipBounds {
    let size = grid.group(weight.columns)
    let groups = weight.columns.dividedRoundingUp(by: size)
    let parts = weight.rows.dividedRoundingUp(by: Self.part)
    let found = ParallelResults<[Float]>(count: parts)
    parallelFor(parts, threads: threads) { part in
      let rows = part * Self.part..<min((part + 1) * Self.part, weight.rows)
      let steps = descend(weight, rows, size: size, groups: groups)
      found[part] = rows.indices.flatMap { row in
        steps.map { $0.bounds[row - rows.lowerBound] }
      }
    }
    var result = ClipBounds(rows: weight.rows, groups: groups, size: size)
    result.values = (0..<parts).flatMap { found[$0] ?? [] }
    return result
  }

  private func descend(_ weight: Matrix, _ rows: Range<Int>, size: Int, groups: Int) -> [Step] {
    var steps = (0..<groups).map { index in
      let columns = index * size..<min((index + 1) * size, weight.columns)
      let group = ClippedGroup(weight, rows: rows, columns: columns, grid, on: level)
      return Step(
        columns: columns, group: group, errors: group.errors(within: 1),
        bounds: [Float](repeating: .infinity, count: rows.count))
    }
    let errors = rows.indices.flatMap { row in
      steps.flatMap { step in
        let first = (row - rows.lowerBound) * step.group.width
        return step.errors[first..<first + step.group.width]
      }
    }
    var forms = QuadraticRows(errors.rawSpan, over: gram)
    for _ in 0..<Self.passes {
      for index in steps.indices { improve(&steps[index], &forms) }
    }
    return steps
  }

  /// Takes the best bound for each row of a group.
  private func improve(_ step: inout Step, _ forms: inout QuadraticRows) {
    let width = step.group.width
    var changes = [Float](repeating: 0, count: step.errors.count)
    var least = [Float](repeating: 0, count: forms.rows)
    for share in shares {
      var other = step.group.errors(within: share)
      for index in other.indices { other[index] -= step.errors[index] }
      let additions = forms.additions(of: other.rawSpan, in: step.columns)
      for (row, addition) in additions.enumerated() where addition < least[row] {
        least[row] = addition
        step.bounds[row] = share < 1 ? step.group.most[row] * share : .infinity
        let part = row * width..<(row + 1) * width
        changes.replaceSubrange(part, with: other[part])
      }
    }
    for index in changes.indices { step.errors[index] += changes[index] }
    forms.change(by: changes.rawSpan, in: step.columns)
  }
}
