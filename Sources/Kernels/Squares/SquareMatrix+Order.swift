extension SquareMatrix {
  /// Rows and columns in another order, `order[i]` the one that comes to place i, and in a precision of
  /// its own. O(count²).
  ///
  /// `isTriangle`: only the upper triangle is wanted, and the tiles below it have unspecified numbers. The memory is
  /// of `store` where there is one.
  public func ordered(
    by order: [Int], precision: Precision? = nil, isTriangle: Bool = false,
    threads: Int = Processor.cores, in store: MatrixStore? = nil
  ) -> SquareMatrix {
    precondition(order.count == count && order.allSatisfy { (0..<count).contains($0) })
    let result = SquareMatrix(
      count: count, precision: precision ?? self.precision, in: store)
    parallelFor(tiles, threads: threads) { tile in
      let columns = (isTriangle ? range(tile).lowerBound : 0)..<count
      for row in range(tile) {
        result.block(row..<row + 1, columns).gather(
          block(order[row]..<order[row] + 1, 0..<count), order[columns])
      }
    }
    return result
  }

  /// The diagonal set to other numbers. Traps where the count differs.
  public func setDiagonal(_ values: [Float]) {
    precondition(values.count == count)
    for (index, value) in values.enumerated() { set(Double(value), index, index) }
  }
}

extension BLASBlock {
  /// One row becomes some numbers of another.
  fileprivate func gather(_ source: BLASBlock, _ order: ArraySlice<Int>) {
    // SAFETY: this row has as many numbers as the order, whose indices lie within the other.
    switch (precision, source.precision) {
    case (.single, .single):
      for (column, from) in order.enumerated() { unsafe f32[column] = source.f32[from] }
    case (.single, .double):
      for (column, from) in order.enumerated() { unsafe f32[column] = Float(source.f64[from]) }
    case (.double, .single):
      for (column, from) in order.enumerated() { unsafe f64[column] = Double(source.f32[from]) }
    case (.double, .double):
      for (column, from) in order.enumerated() { unsafe f64[column] = source.f64[from] }
    }
  }
}
