internal import TensorCore

extension SquareMatrix {
  /// Σ of all numbers of selfᵀ·x squared, self an upper triangle in f32, x `[count][rows]`. On the calling
  /// thread. O(count²·rows).
  public func squaresOfProduct(_ x: RawSpan, rows: Int) -> Double {
    precondition(precision == .single && x.byteCount == count * rows * 4)
    var product = AlignedBytes(count: x.byteCount)
    return product.withMutableBytes(count: x.byteCount) { target in
      target.copy(from: x)
      // SAFETY: the block has the shape of the copy, which is written here alone.
      unsafe target.withUnsafeMutableBytes { target in
        guard let address = target.baseAddress else { return }
        unsafe BLASBlock(
          address: address, rows: count, columns: rows, stride: rows, precision: .single
        ).multiply(1, left: block(0..<count, 0..<count), transposed: true)
      }
      return FloatStatistics(target.bytes).sumOfSquares
    }
  }

  /// times·triu(self·upperᵀ, 1)·upper for an upper triangle with zeros below it in the tiles on the diagonal, all f32;
  /// columns `clearing` of self are taken as 0, and are after. O(count³).
  public func strictUpperProduct(
    _ upper: SquareMatrix, clearing columns: [Int], times factor: Float,
    threads: Int = Processor.cores
  ) -> SquareMatrix {
    precondition(count == upper.count && precision == .single && upper.precision == .single)
    let middle = SquareMatrix(count: count)
    let result = SquareMatrix(count: count)
    parallelFor(tiles, threads: threads) { tile in
      let rows = range(tile)
      for row in rows { for column in columns { set(0, row, column) } }
      for other in tile..<tiles {
        let (own, rest) = (range(other), range(other).lowerBound..<count)
        middle.block(rows, own).multiply(
          block(rows, rest), upper.block(own, rest), turnsRight: true, adding: 0)
      }
      for row in rows { for column in rows where column <= row { middle.set(0, row, column) } }
      for other in tile..<tiles {
        let between = rows.lowerBound..<range(other).upperBound
        result.block(rows, range(other)).multiply(
          middle.block(rows, between), upper.block(between, range(other)), times: factor, adding: 0)
      }
    }
    return result
  }
}
