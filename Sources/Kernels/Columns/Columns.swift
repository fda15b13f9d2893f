internal import CKernels
internal import TensorCore

/// Matrices column by column: `[columns][rows]`, the rows (outputs) of one column (input) are
/// neighbours, so that vectors go down the rows, which know nothing of each other.
///
/// Traps where lengths do not fit. All levels give the same bits.
public enum Columns {
  /// One scale and one whole zero point for each row over all `columns`, f32 `[rows]`, by a rule.
  /// `importance` is f32 `[columns]`, at least 0. O(columns·rows), times the steps of a search.
  public static func ranges(
    _ values: RawSpan, columns: Int, rows: Int, importance: RawSpan? = nil, by rule: RangeRule,
    scales: inout MutableRawSpan, zeros: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    precondition(values.byteCount == columns * rows * 4 && rule.search?.isPossible ?? true)
    precondition(scales.byteCount == rows * 4 && zeros.byteCount == rows * 4)
    if let importance { precondition(importance.byteCount == columns * 4) }
    var made = rule.kernelRule
    // SAFETY: the lengths were checked; what is absent is nil.
    unsafe lend(values, &scales) { values, scales in
      unsafe zeros.withUnsafeMutableBytes { zeros in
        unsafe addresses(importance) { importance in
          unsafe level.kernels.pointee.column_ranges(
            values.assumingMemoryBound(to: Float.self), columns, rows, rows, importance, &made,
            scales.assumingMemoryBound(to: Float.self),
            zeros.baseAddress?.assumingMemoryBound(to: Float.self))
        }
      }
    }
  }

  /// Codes, one byte each `[columns][rows]`: value/scale rounded to nearest, ties to even, plus zero, held
  /// to 0 … `top`, with one scale and zero a row. `squares`, f32 `[rows]`, is Σ (value − rounded)².
  /// O(columns·rows).
  public static func codes(
    _ values: RawSpan, columns: Int, rows: Int, scales: RawSpan, zeros: RawSpan, top: Int,
    into codes: inout MutableRawSpan, squares: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    precondition(values.byteCount == columns * rows * 4 && codes.byteCount == columns * rows)
    precondition(scales.byteCount == rows * 4 && zeros.byteCount == rows * 4)
    precondition(squares.byteCount == rows * 4)
    // SAFETY: the lengths were checked.
    unsafe lend(values, scales, zeros, &codes) { values, scales, zeros, codes in
      unsafe squares.withUnsafeMutableBytes { squares in
        unsafe level.kernels.pointee.column_codes(
          values.assumingMemoryBound(to: Float.self), columns, rows, rows,
          scales.assumingMemoryBound(to: Float.self), zeros.assumingMemoryBound(to: Float.self),
          Float(top), codes.assumingMemoryBound(to: UInt8.self),
          squares.baseAddress?.assumingMemoryBound(to: Float.self))
      }
    }
  }

  /// c `[m][rows]` −= (or += with `adds`) aᵀ·b, a `[depth][m]` in rows `stride` numbers apart, b
  /// `[depth][rows]`. On the calling thread. O(depth·m·rows).
  public static func subtractProduct(
    _ a: RawSpan, stride: Int, _ b: RawSpan, depth: Int, rows: Int, adds: Bool = false,
    from c: inout MutableRawSpan
  ) {
    let m = c.byteCount / 4 / rows
    precondition(c.byteCount == m * rows * 4 && b.byteCount == depth * rows * 4)
    precondition(m > 0 && depth > 0 && a.byteCount >= ((depth - 1) * stride + m) * 4 && stride >= m)
    // SAFETY: the lengths were checked; a and b are only read.
    unsafe lend(a, b, &c) { a, b, c in
      let left = unsafe BLASBlock(
        address: UnsafeMutableRawPointer(mutating: a), rows: depth, columns: m, stride: stride,
        precision: .single)
      let right = unsafe BLASBlock(
        address: UnsafeMutableRawPointer(mutating: b), rows: depth, columns: rows, stride: rows,
        precision: .single)
      let target = unsafe BLASBlock(
        address: c, rows: m, columns: rows, stride: rows, precision: .single)
      target.multiply(left, turnsLeft: true, right, times: adds ? 1 : -1, adding: 1)
    }
  }

  private static func addresses(
    _ span: RawSpan?, _ body: (UnsafePointer<Float>?) -> Void
  ) {
    guard let span else { return body(nil) }
    // SAFETY: lent for the call.
    unsafe span.withUnsafeBytes { unsafe body($0.baseAddress?.assumingMemoryBound(to: Float.self)) }
  }
}
