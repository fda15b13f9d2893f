internal import COpenBLAS
internal import TensorCore

extension BLASBlock {
  /// A symmetric block becomes the upper triangle R of R·Rᵀ, with zeros below; only its upper triangle is
  /// read. Returns whether it was positive.
  ///
  /// LAPACK has the lower triangle L of L·Lᵀ, which of the block with both axes reversed is R reversed.
  func factorReversed() -> Bool {
    precondition(BLAS.isOneThreaded && rows == columns)
    var (info, n) = (Int32(0), Int32(rows))
    reverse()
    // SAFETY: reversed, the upper triangle lies below the diagonal, which is what LAPACK, column by
    // column, calls the upper one; the block is square.
    switch precision {
    case .single: unsafe spotrf_("U", &n, f32, [lead], &info)
    case .double: unsafe dpotrf_("U", &n, f64, [lead], &info)
    }
    reverse()
    clearBelow()
    return info == 0
  }

  /// An upper triangle becomes its inverse. Returns whether it has one.
  func invertTriangle() -> Bool {
    precondition(BLAS.isOneThreaded && rows == columns)
    var (info, n) = (Int32(0), Int32(rows))
    // SAFETY: the upper triangle is LAPACK's lower one; the block is square.
    switch precision {
    case .single: unsafe strtri_("L", "N", &n, f32, [lead], &info)
    case .double: unsafe dtrtri_("L", "N", &n, f64, [lead], &info)
    }
    return info == 0
  }

  /// Both axes in the other order.
  private func reverse() {
    for row in 0..<rows.dividedRoundingUp(by: 2) {
      let mirror = rows - 1 - row
      let last = row == mirror ? columns / 2 : columns
      for column in 0..<last {
        let (here, there) = (row * stride + column, mirror * stride + columns - 1 - column)
        // SAFETY: both lie within the block.
        switch precision {
        case .single: unsafe swap(&f32[here], &f32[there])
        case .double: unsafe swap(&f64[here], &f64[there])
        }
      }
    }
  }

  private func clearBelow() {
    for row in 0..<rows {
      for column in 0..<row {
        // SAFETY: the place lies within the block.
        switch precision {
        case .single: unsafe f32[row * stride + column] = 0
        case .double: unsafe f64[row * stride + column] = 0
        }
      }
    }
  }
}

extension BLASBlock {
  /// Zeros everywhere.
  func clear() {
    let width = precision.byteCount
    for row in 0..<rows {
      // SAFETY: the row lies within the block.
      unsafe (address + row * stride * width).initializeMemory(
        as: UInt8.self, repeating: 0, count: columns * width)
    }
  }

  /// The numbers of another block of this shape.
  func copy(_ other: BLASBlock) {
    precondition(rows == other.rows && columns == other.columns && precision == other.precision)
    let width = precision.byteCount
    for row in 0..<rows {
      // SAFETY: both rows lie within their blocks, which differ.
      unsafe (address + row * stride * width).copyMemory(
        from: other.address + row * other.stride * width, byteCount: columns * width)
    }
  }
}
