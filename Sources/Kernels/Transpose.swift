import CKernels

/// Row-major matrices turned: [rows][columns] into [columns][rows], out of place. The rows of a source
/// may be part of longer ones, `stride` elements from each to the next; so may those of a target,
/// `spacing` elements apart, and what lies between them is left alone.
///
/// O(elements). Traps if the lengths of source and target are not those of the matrix.
public enum Transpose {
  /// Elements of one byte.
  public static func bytes(
    _ source: RawSpan, rows: Int, columns: Int, stride: Int? = nil,
    spacing: Int? = nil, into target: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let (stride, spacing) = (stride ?? columns, spacing ?? rows)
    check(source.byteCount, target.byteCount, rows, columns, stride, spacing, size: 1)
    // SAFETY: both hold the elements of rows · columns.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_1($0, $1, rows, columns, stride, spacing)
    }
  }

  /// Elements of two bytes.
  public static func halves(
    _ source: RawSpan, rows: Int, columns: Int, stride: Int? = nil,
    spacing: Int? = nil, into target: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let (stride, spacing) = (stride ?? columns, spacing ?? rows)
    check(source.byteCount, target.byteCount, rows, columns, stride, spacing, size: 2)
    // SAFETY: both hold the elements of rows · columns.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_2($0, $1, rows, columns, stride, spacing)
    }
  }

  /// Elements of four bytes.
  public static func words(
    _ source: RawSpan, rows: Int, columns: Int, stride: Int? = nil,
    spacing: Int? = nil, into target: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let (stride, spacing) = (stride ?? columns, spacing ?? rows)
    check(source.byteCount, target.byteCount, rows, columns, stride, spacing, size: 4)
    // SAFETY: both hold the elements of rows · columns.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_4($0, $1, rows, columns, stride, spacing)
    }
  }

  private static func check(
    _ source: Int, _ target: Int, _ rows: Int, _ columns: Int, _ stride: Int, _ spacing: Int,
    size: Int
  ) {
    precondition(rows >= 0 && columns >= 0 && stride >= columns && spacing >= rows)
    precondition(columns > 0 ? target == ((columns - 1) * spacing + rows) * size : target == 0)
    precondition(rows > 0 ? source == ((rows - 1) * stride + columns) * size : source == 0)
  }
}
