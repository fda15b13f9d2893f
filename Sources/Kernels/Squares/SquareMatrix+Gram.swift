internal import TensorCore

extension SquareMatrix {
  /// Adds xᵀ·x of f32 inputs x `[tokens][count]` (f64 in an f64 matrix) to the upper triangle, tile by
  /// tile: half of a full product. O(tokens·count²/2).
  public func addGram(_ inputs: RawSpan, tokens: Int, threads: Int = Processor.cores) {
    let sides = gramSides
    // The whole tiles come before the halves on the diagonal, so that threads end together.
    let pairs = Self.pairs(sides.count).sorted {
      ($0.row == $0.column ? 1 : 0, $0.row) < ($1.row == $1.column ? 1 : 0, $1.row)
    }
    withInputs(inputs, tokens) { inputs in
      parallelFor(pairs.count, threads: threads) { index in
        let (row, column) = (sides[pairs[index].row], sides[pairs[index].column])
        let target = block(row, column)
        let left = inputs.columns(row)
        if row == column {
          target.addGram(left)
        } else {
          target.multiply(left, turnsLeft: true, inputs.columns(column), adding: 1)
        }
      }
    }
  }

  /// Adds aᵀ·b of inputs `[tokens][count]` each. O(tokens·count²).
  public func addProduct(
    _ a: RawSpan, _ b: RawSpan, tokens: Int, threads: Int = Processor.cores
  ) {
    withInputs(a, tokens) { a in
      withInputs(b, tokens) { b in
        parallelFor(tiles * tiles, threads: threads) { index in
          let (row, column) = (range(index / tiles), range(index % tiles))
          block(row, column).multiply(
            a.columns(row), turnsLeft: true, b.columns(column), adding: 1)
        }
      }
    }
  }

  /// Multiplies the upper triangle and puts it below the diagonal as well. O(count²).
  public func completeTriangle(times factor: Double, threads: Int = Processor.cores) {
    let pairs = Self.pairs(tiles)
    parallelFor(pairs.count, threads: threads) { index in
      let (row, column) = pairs[index]
      complete(
        block(range(row), range(column)), block(range(column), range(row)), factor,
        isCorner: row == column)
    }
  }

  /// Corner by corner, so that neither reading along rows nor writing along columns leaves the cache.
  private func complete(_ tile: BLASBlock, _ mirror: BLASBlock, _ factor: Double, isCorner: Bool) {
    let side = 32
    for top in stride(from: 0, to: tile.rows, by: side) {
      for left in stride(from: isCorner ? top : 0, to: tile.columns, by: side) {
        complete(
          tile, mirror, factor, top..<min(top + side, tile.rows),
          left..<min(left + side, tile.columns), isDiagonal: isCorner && top == left)
      }
    }
  }

  private func complete(
    _ tile: BLASBlock, _ mirror: BLASBlock, _ factor: Double, _ rows: Range<Int>,
    _ columns: Range<Int>, isDiagonal: Bool
  ) {
    for row in rows {
      for column in (isDiagonal ? row : columns.lowerBound)..<columns.upperBound {
        let (here, there) = (row * count + column, column * count + row)
        // SAFETY: both places lie within their tiles.
        switch precision {
        case .single:
          let value = unsafe Float(Double(tile.f32[here]) * factor)
          unsafe (tile.f32[here], mirror.f32[there]) = (value, value)
        case .double:
          let value = unsafe tile.f64[here] * factor
          unsafe (tile.f64[here], mirror.f64[there]) = (value, value)
        }
      }
    }
  }

  /// Multiplies every number. O(count²).
  public func multiply(by factor: Double, threads: Int = Processor.cores) {
    parallelFor(count, threads: threads) { row in
      for column in 0..<count { set(self[row, column] * factor, row, column) }
    }
  }

  /// An eighth of the matrix, within what is worth a product and what fits a cache; a half of small ones.
  private var gramSides: [Range<Int>] {
    let parts = count <= 1024 ? 2 : 8
    let side = min(512, max(256, count.dividedRoundingUp(by: parts * 64) * 64))
    return stride(from: 0, to: count, by: side).map { $0..<min($0 + side, count) }
  }

  private static func pairs(_ sides: Int) -> [(row: Int, column: Int)] {
    (0..<sides).flatMap { row in (row..<sides).map { (row, $0) } }
  }

  private func withInputs(_ inputs: RawSpan, _ tokens: Int, _ body: (BLASBlock) -> Void) {
    precondition(inputs.byteCount == tokens * count * precision.byteCount)
    // SAFETY: the block has the shape of the inputs, and is only read.
    unsafe lend(inputs) { address, _ in
      unsafe body(
        BLASBlock(
          address: UnsafeMutableRawPointer(mutating: address), rows: tokens, columns: count,
          stride: count, precision: precision))
    }
  }
}

extension BLASBlock {
  /// Some columns of all rows.
  func columns(_ range: Range<Int>) -> BLASBlock {
    // SAFETY: the columns lie within the block.
    unsafe BLASBlock(
      address: address + range.lowerBound * precision.byteCount, rows: rows,
      columns: range.count, stride: stride, precision: precision)
  }
}
