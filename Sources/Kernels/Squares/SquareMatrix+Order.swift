extension SquareMatrix {
  /// Rows and columns in another order, `order[i]` the one that comes to place i. O(count²).
  public func ordered(by order: [Int], threads: Int = Processor.cores) -> SquareMatrix {
    precondition(order.count == count && order.allSatisfy { (0..<count).contains($0) })
    let result = SquareMatrix(count: count, precision: precision)
    let isSame = order.elementsEqual(0..<count)
    parallelFor(tiles, threads: threads) { tile in
      let rows = range(tile)
      if isSame { return result.block(rows, 0..<count).copy(block(rows, 0..<count)) }
      for row in rows { result.gather(self, row: row, order) }
    }
    return result
  }

  /// Row `row` becomes that of `other` at `order[row]`, its columns in that order too.
  private func gather(_ other: SquareMatrix, row: Int, _ order: [Int]) {
    let (target, source) = (block(row..<row + 1, 0..<count), other.row(order[row]))
    for (column, from) in order.enumerated() {
      // SAFETY: both indices are below `count`.
      switch precision {
      case .single: unsafe target.f32[column] = source.f32[from]
      case .double: unsafe target.f64[column] = source.f64[from]
      }
    }
  }

  private func row(_ row: Int) -> BLASBlock { block(row..<row + 1, 0..<count) }

  /// The diagonal set to other numbers. Traps where the count differs.
  public func setDiagonal(_ values: [Float]) {
    precondition(values.count == count)
    for (index, value) in values.enumerated() { set(Double(value), index, index) }
  }
}
