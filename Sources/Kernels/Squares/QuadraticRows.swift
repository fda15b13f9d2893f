internal import TensorCore

/// Rows e of errors over a symmetric matrix H, all f32, that a search changes run by run of columns: it tells what a
/// change d would do to e·H·eᵀ, which is d·(2·H·e + H·d), without multiplying by all of H again.
///
/// For one thread; many may share H.
@safe
public struct QuadraticRows: ~Copyable {
  private let matrix: SquareMatrix
  public let rows: Int
  /// e·H, `[rows][count]`.
  private var products: AlignedBytes

  /// Of errors f32 `[rows][count]`. O(rows·count²). Traps where counts do not fit.
  public init(_ errors: RawSpan, over matrix: SquareMatrix) {
    let count = matrix.count
    let rows = errors.byteCount / 4 / count
    precondition(matrix.precision == .single && errors.byteCount == rows * count * 4)
    (self.matrix, self.rows) = (matrix, rows)
    products = AlignedBytes(count: errors.byteCount)
    products.withMutableBytes(count: errors.byteCount) { products in
      matrix.withBytes {
        BLAS.multiplyTransposed(
          errors, rows: rows, $0, columns: count, depth: count, into: &products)
      }
    }
  }

  /// What changes f32 `[rows][columns.count]` of the errors in some columns would add to each row's e·H·eᵀ.
  /// O(rows·columns²).
  public func additions(of changes: RawSpan, in columns: Range<Int>) -> [Float] {
    let width = columns.count
    var own = AlignedBytes(count: rows * width * 4)
    own.withMutableBytes(count: own.count) { own in
      Self.lendBlocks(changes, &own, rows: rows, width, width) { changes, own in
        own.multiply(changes, matrix.block(columns, columns), adding: 0)
      }
    }
    let (all, added) = (products.bytes, own.bytes)
    return (0..<rows).map { row in
      let first = row * matrix.count + columns.lowerBound
      var sum: Float = 0
      for index in 0..<width {
        let place = row * width + index
        let slope = 2 * all.float32(at: first + index) + added.float32(at: place)
        sum += changes.float32(at: place) * slope
      }
      return sum
    }
  }

  /// Makes changes f32 `[rows][columns.count]`. O(rows·columns·count).
  public mutating func change(by changes: RawSpan, in columns: Range<Int>) {
    let (matrix, rows, count) = (matrix, rows, matrix.count)
    products.withMutableBytes(count: products.count) { products in
      Self.lendBlocks(changes, &products, rows: rows, columns.count, count) { changes, products in
        products.multiply(changes, matrix.block(columns, 0..<count), adding: 1)
      }
    }
  }

  private static func lendBlocks(
    _ changes: RawSpan, _ target: inout MutableRawSpan, rows: Int, _ width: Int, _ stride: Int,
    _ body: (BLASBlock, BLASBlock) -> Void
  ) {
    precondition(changes.byteCount == rows * width * 4)
    precondition(target.byteCount == rows * stride * 4)
    // SAFETY: both blocks have the shapes checked above; the changes are only read.
    unsafe lend(changes, &target) { changes, target in
      unsafe body(
        BLASBlock(
          address: UnsafeMutableRawPointer(mutating: changes), rows: rows, columns: width,
          stride: width, precision: .single),
        BLASBlock(
          address: target, rows: rows, columns: stride, stride: stride, precision: .single))
    }
  }
}
