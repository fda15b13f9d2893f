internal import CKernels
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

  /// Whole rows are multiplied, then turned by the kernel that keeps to the cache.
  private func complete(_ tile: BLASBlock, _ mirror: BLASBlock, _ factor: Double, isCorner: Bool) {
    for row in 0..<tile.rows {
      tile.multiply(row: row, from: isCorner ? row : 0, by: factor)
    }
    if precision == .single, !isCorner {
      // SAFETY: both are rectangles of rows `count` numbers apart, each with the other's sides.
      return unsafe Processor.Level.best.kernels.pointee.transpose_4(
        tile.address, mirror.address, tile.rows, tile.columns, count, count)
    }
    for row in 0..<tile.rows {
      for column in (isCorner ? row : 0)..<tile.columns {
        let (here, there) = (row * count + column, column * count + row)
        // SAFETY: both places lie within their tiles.
        switch precision {
        case .single: unsafe mirror.f32[there] = tile.f32[here]
        case .double: unsafe mirror.f64[there] = tile.f64[here]
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

  /// An eighth of the matrix, within what is worth a product and what fits a cache; a quarter of small ones.
  private var gramSides: [Range<Int>] {
    let parts = count <= 1024 ? 4 : 8
    let side = min(512, count.dividedRoundingUp(by: parts * 64) * 64)
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
  /// The numbers of a row from a column on, multiplied in f64 and rounded.
  fileprivate func multiply(row: Int, from first: Int, by factor: Double) {
    let start = row * stride + first
    // SAFETY: the numbers lie within the block.
    switch precision {
    case .single:
      let values = unsafe UnsafeMutableBufferPointer(start: f32 + start, count: columns - first)
      for index in values.indices {
        unsafe values[index] = Float(Double(values[index]) * factor)
      }
    case .double:
      let values = unsafe UnsafeMutableBufferPointer(start: f64 + start, count: columns - first)
      for index in values.indices { unsafe values[index] *= factor }
    }
  }

  /// Some columns of all rows.
  func columns(_ range: Range<Int>) -> BLASBlock {
    // SAFETY: the columns lie within the block.
    unsafe BLASBlock(
      address: address + range.lowerBound * precision.byteCount, rows: rows,
      columns: range.count, stride: stride, precision: precision)
  }
}
