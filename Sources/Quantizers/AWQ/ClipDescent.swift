import Kernels
import TensorCore

/// Clips the groups of each row one after the other, each so that the error of the row's outputs is least, given what
/// the other groups err by: every step lowers e·XᵀX·eᵀ or leaves the group as it is.
struct ClipDescent {
  /// Rows that go together: the same whatever the number of threads.
  static let part = 64

  let grid: AWQGrid
  let shares: [Float]
  /// XᵀX of the inputs.
  let gram: SquareMatrix
  let level: Processor.Level

  /// O(rows·columns²), in parallel.
  func bounds(of weight: Matrix, threads: Int) -> ClipBounds {
    let size = grid.group(weight.columns)
    let groups = weight.columns.dividedRoundingUp(by: size)
    let parts = weight.rows.dividedRoundingUp(by: Self.part)
    let found = ParallelResults<[Float]>(count: parts)
    parallelFor(parts, threads: threads) { part in
      let rows = part * Self.part..<min((part + 1) * Self.part, weight.rows)
      found[part] = bounds(of: weight, rows, size: size, groups: groups)
    }
    var result = ClipBounds(rows: weight.rows, groups: groups, size: size)
    result.values = (0..<parts).flatMap { found[$0] ?? [] }
    return result
  }

  /// `[rows][groups]` of some rows.
  private func bounds(
    of weight: Matrix, _ rows: Range<Int>, size: Int, groups: Int
  ) -> [Float] {
    var errors = QuadraticRows(roundingErrors(weight, rows, size: size).rawSpan, over: gram)
    var bounds = [Float](repeating: .infinity, count: rows.count * groups)
    for index in 0..<groups {
      let columns = index * size..<min((index + 1) * size, weight.columns)
      let group = ClippedGroup(weight, rows: rows, columns: columns, grid, on: level)
      let chosen = choose(group, errors, columns)
      errors.change(by: chosen.changes.rawSpan, in: columns)
      for (row, bound) in chosen.bounds.enumerated() { bounds[row * groups + index] = bound }
    }
    return bounds
  }

  /// The best step of each row of a group, and how it changes the group's errors.
  private func choose(
    _ group: ClippedGroup, _ errors: borrowing QuadraticRows, _ columns: Range<Int>
  ) -> (bounds: [Float], changes: [Float]) {
    let plain = group.errors(within: 1)
    var bounds = [Float](repeating: .infinity, count: errors.rows)
    var changes = [Float](repeating: 0, count: plain.count)
    var least = [Float](repeating: 0, count: errors.rows)
    for share in shares where share < 1 {
      var clipped = group.errors(within: share)
      for index in clipped.indices { clipped[index] -= plain[index] }
      let additions = errors.additions(of: clipped.rawSpan, in: columns)
      for (row, addition) in additions.enumerated() where addition < least[row] {
        (least[row], bounds[row]) = (addition, group.most[row] * share)
        let part = row * group.width..<(row + 1) * group.width
        changes.replaceSubrange(part, with: clipped[part])
      }
    }
    return (bounds, changes)
  }

  private func roundingErrors(_ weight: Matrix, _ rows: Range<Int>, size: Int) -> [Float] {
    let ranges = AWQRanges(bits: grid.bits, isSymmetric: grid.isSymmetric)
    return rows.flatMap { row in
      let values = Array(weight.values[row * weight.columns..<(row + 1) * weight.columns])
      var errors = values
      errors.withMutableBytes { ranges.round(values.rawSpan, group: size, into: &$0, on: level) }
      for index in errors.indices { errors[index] -= values[index] }
      return errors
    }
  }
}
