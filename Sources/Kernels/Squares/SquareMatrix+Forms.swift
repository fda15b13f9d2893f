internal import TensorCore

extension SquareMatrix {
  /// d·self·dᵀ for each row d of f32 `[rows][count]`, self symmetric: by the tiles on and below the diagonal, half of a
  /// full product, in the precision of self. On the calling thread; sums in f64. O(rows·count²/2).
  public func quadraticForms(of rows: RawSpan) -> [Double] {
    guard precision == .double else { return forms(of: rows) }
    var wide = AlignedBytes(count: rows.byteCount * 2)
    var target = wide.mutableBytes
    FloatConversion.toFloat64(rows, into: &target, at: 0)
    return forms(of: wide.bytes)
  }

  /// The same of rows in the precision of self.
  private func forms(of rows: RawSpan) -> [Double] {
    let size = precision.byteCount
    let number = rows.byteCount / size / count
    precondition(rows.byteCount == number * count * size)
    var sums = [Double](repeating: 0, count: number)
    var products = AlignedBytes(count: number * min(Self.tile, count) * size)
    for tile in 0..<tiles {
      let columns = range(tile)
      let byteCount = number * columns.count * size
      products.withMutableBytes(count: byteCount) { addHalf(of: rows, columns, into: &$0) }
      let product = products.bytes
      for row in 0..<number {
        let first = row * count + columns.lowerBound
        sums[row] += dot(
          product.part(row * columns.count * size..<(row + 1) * columns.count * size),
          rows.part(first * size..<(first + columns.count) * size), precision)
      }
    }
    return sums
  }

  /// The rows times a tile on the diagonal, plus twice those below it.
  private func addHalf(
    of rows: RawSpan, _ columns: Range<Int>, into products: inout MutableRawSpan
  ) {
    let (number, all) = (rows.byteCount / precision.byteCount / count, 0..<count)
    let rest = columns.upperBound..<all.upperBound
    // SAFETY: the blocks have the shapes of the rows, which are only read, and of the products.
    unsafe lend(rows, &products) { rows, products in
      let source = unsafe BLASBlock(
        address: UnsafeMutableRawPointer(mutating: rows), rows: number, columns: count,
        stride: count, precision: precision)
      let target = unsafe BLASBlock(
        address: products, rows: number, columns: columns.count, stride: columns.count,
        precision: precision)
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

/// Σ a·b in f64: product i goes to lane i mod 8, and the lanes are added pair by pair.
private func dot(_ a: RawSpan, _ b: RawSpan, _ precision: SquareMatrix.Precision) -> Double {
  precision == .single ? dotOfFloats(a, b) : dotOfDoubles(a, b)
}

private func dotOfDoubles(_ a: RawSpan, _ b: RawSpan) -> Double {
  var lanes = SIMD8<Double>()
  for index in 0..<a.byteCount / 8 {
    lanes[index % 8] += a.float64(at: index) * b.float64(at: index)
  }
  return lanes.sum()
}

extension RawSpan {
  fileprivate func float64(at index: Int) -> Double {
    Double(bitPattern: UInt64(uint32(at: 2 * index + 1)) << 32 | UInt64(uint32(at: 2 * index)))
  }
}

private func dotOfFloats(_ a: RawSpan, _ b: RawSpan) -> Double {
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
