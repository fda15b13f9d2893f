internal import TensorCore

extension SquareMatrix {
  /// d·self·dᵀ for each row d of f32 `[rows][count]`, self symmetric and f32: by the tiles on and below the diagonal,
  /// half of a full product. On the calling thread; sums in f64. O(rows·count²/2).
  public func quadraticForms(of rows: RawSpan) -> [Double] {
    let number = rows.byteCount / 4 / count
    precondition(precision == .single && rows.byteCount == number * count * 4)
    var sums = [Double](repeating: 0, count: number)
    var products = AlignedBytes(count: number * min(Self.tile, count) * 4)
    for tile in 0..<tiles {
      let columns = range(tile)
      let byteCount = number * columns.count * 4
      products.withMutableBytes(count: byteCount) { addHalf(of: rows, columns, into: &$0) }
      let product = products.bytes
      for row in 0..<number {
        let first = row * count + columns.lowerBound
        sums[row] += dot(
          product.part(row * columns.count * 4..<(row + 1) * columns.count * 4),
          rows.part(first * 4..<(first + columns.count) * 4))
      }
    }
    return sums
  }

  /// The rows times a tile on the diagonal, plus twice those below it.
  private func addHalf(
    of rows: RawSpan, _ columns: Range<Int>, into products: inout MutableRawSpan
  ) {
    let (number, all) = (rows.byteCount / 4 / count, 0..<count)
    let rest = columns.upperBound..<all.upperBound
    // SAFETY: the blocks have the shapes of the rows, which are only read, and of the products.
    unsafe lend(rows, &products) { rows, products in
      let source = unsafe BLASBlock(
        address: UnsafeMutableRawPointer(mutating: rows), rows: number, columns: count,
        stride: count, precision: .single)
      let target = unsafe BLASBlock(
        address: products, rows: number, columns: columns.count, stride: columns.count,
        precision: .single)
      target.multiply(source.columns(columns), block(columns, columns), adding: 0)
      guard !rest.isEmpty else { return }
      target.multiply(source.columns(rest), block(rest, columns), times: 2, adding: 1)
    }
  }

  /// Divides each number by the factors of its row and of its column: XᵀX of inputs x/s. O(count²).
  public func divideRowsAndColumns(by factors: [Float], threads: Int = Processor.cores) {
    precondition(factors.count == count)
    let parts = factors.map { 1 / Double($0) }
    parallelFor(count, threads: threads) { row in
      for column in 0..<count {
        set(self[row, column] * parts[row] * parts[column], row, column)
      }
    }
  }
}

/// Σ a·b of f32 numbers in f64: product i goes to lane i mod 8, and the lanes are added pair by pair.
private func dot(_ a: RawSpan, _ b: RawSpan) -> Double {
  let count = a.byteCount / 4
  var lanes = SIMD8<Double>()
  for start in stride(from: 0, to: count - count % 8, by: 8) {
    var (left, right) = (SIMD8<Float>(), SIMD8<Float>())
    for lane in 0..<8 {
      (left[lane], right[lane]) = (a.float32(at: start + lane), b.float32(at: start + lane))
    }
    lanes += SIMD8<Double>(left) * SIMD8<Double>(right)
  }
  for index in count - count % 8..<count {
    lanes[index % 8] += Double(a.float32(at: index)) * Double(b.float32(at: index))
  }
  return lanes.sum()
}
