internal import Synchronization

/// Of H⁻¹ = Uᵀ·U, U upper, by half the work of inverting H and factoring the inverse.
///
/// With R = U⁻¹, upper too, H = (Uᵀ·U)⁻¹ = R·Rᵀ: the Cholesky factorisation that begins at the last
/// row. So one factorisation of H (n³/3 operations) and one inverse of a triangle (n³/3) give U; the
/// usual way, factor, inverse and factor again, costs 4n³/3.
///
/// Every tile is the work of one thread, in an order that does not depend on how many there are.
extension SquareMatrix {
  /// This symmetric matrix becomes the upper triangle R of R·Rᵀ; what lies below is left as it is but for
  /// zeros in the tiles on the diagonal. Only the upper triangle is read. O(n³/3).
  ///
  /// Returns whether it was positive; if not, its numbers are of no use.
  public func factorReversed(threads: Int = Processor.cores) -> Bool {
    for step in (0..<tiles).reversed() {
      let own = range(step)
      let done = own.upperBound..<count
      if !done.isEmpty {
        parallelFor(step + 1, threads: threads) { tile in
          let target = block(range(tile), own)
          target.multiply(
            block(range(tile), done), block(own, done), turnsRight: true, times: -1, adding: 1)
        }
      }
      let corner = block(own, own)
      guard corner.factorReversed() else { return false }
      parallelFor(step, threads: threads) { tile in
        block(range(tile), own).solve(right: corner)
      }
    }
    return diagonal.allSatisfy { $0 > 0 && $0.isFinite }
  }

  /// The inverse of an upper triangle; nil where it has none. Zeros lie below in the tiles on the diagonal; what is
  /// in those below them is unspecified in memory of a `store`. O(n³/3).
  public func invertedTriangle(
    threads: Int = Processor.cores, in store: MatrixStore? = nil
  ) -> SquareMatrix? {
    let result = SquareMatrix(count: count, precision: precision, in: store)
    let hasInverse = Atomic(true)
    parallelFor(tiles, threads: threads) { tile in
      let own = range(tile)
      let corner = result.block(own, own)
      corner.copy(block(own, own))
      if !corner.invertTriangle() { hasInverse.store(false, ordering: .relaxed) }
    }
    guard hasInverse.load(ordering: .relaxed) else { return nil }
    // The last column of tiles has the most to do and comes first.
    parallelFor(tiles, threads: threads) { turn in
      let column = tiles - 1 - turn
      for row in (0..<column).reversed() {
        let between = range(row).upperBound..<range(column).upperBound
        let target = result.block(range(row), range(column))
        target.multiply(
          block(range(row), between), result.block(between, range(column)), adding: 0)
        target.multiply(-1, left: result.block(range(row), range(row)))
      }
    }
    return result.diagonal.allSatisfy(\.isFinite) ? result : nil
  }
}
