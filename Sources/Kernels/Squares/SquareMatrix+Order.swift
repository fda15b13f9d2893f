extension SquareMatrix {
  /// Rows and columns in another order, `order[i]` the one that comes to place i, and in a precision of
  /// its own, in memory of `store` where there is one. O(count²).
  public func ordered(
    by order: [Int], precision: Precision? = nil, threads: Int = Processor.cores,
    in store: MatrixStore? = nil
  ) -> SquareMatrix {
    precondition(order.count == count && order.allSatisfy { (0..<count).contains($0) })
    let result = SquareMatrix(
      count: count, precision: precision ?? self.precision, in: store)
    parallelFor(tiles, threads: threads) { tile in
      for row in range(tile) {
        result.row(row).gather(self.row(order[row]), order)
      }
    }
    return result
  }

  private func row(_ row: Int) -> BLASBlock { block(row..<row + 1, 0..<count) }

  /// The diagonal set to other numbers. Traps where the count differs.
  public func setDiagonal(_ values: [Float]) {
    precondition(values.count == count)
    for (index, value) in values.enumerated() { set(Double(value), index, index) }
  }
}

extension BLASBlock {
  /// One row becomes another in an order.
  fileprivate func gather(_ source: BLASBlock, _ order: [Int]) {
    // SAFETY: both rows have as many numbers as the order, whose indices are below that.
    switch (precision, source.precision) {
    case (.single, .single):
      for column in 0..<columns { unsafe f32[column] = source.f32[order[column]] }
    case (.single, .double):
      for column in 0..<columns { unsafe f32[column] = Float(source.f64[order[column]]) }
    case (.double, .single):
      for column in 0..<columns { unsafe f64[column] = Double(source.f32[order[column]]) }
    case (.double, .double):
      for column in 0..<columns { unsafe f64[column] = source.f64[order[column]] }
    }
  }
}
