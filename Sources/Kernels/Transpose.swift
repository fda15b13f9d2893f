import CKernels

/// Row-major matrices turned: [rows][columns] into [columns][rows], out of place. The rows of a source
/// may be part of longer ones, `stride` elements from each to the next.
///
/// O(elements). Traps if the lengths of source and target are not those of the matrix.
public enum Transpose {
  /// Elements of one byte.
  public static func bytes(
    _ source: RawSpan, rows: Int, columns: Int, stride: Int? = nil,
    into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let stride = stride ?? columns
    check(source.byteCount, target.byteCount, rows, columns, stride, size: 1)
    // SAFETY: both hold the elements of rows · columns.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_1($0, $1, rows, columns, stride)
    }
  }

  /// Elements of two bytes.
  public static func halves(
    _ source: RawSpan, rows: Int, columns: Int, stride: Int? = nil,
    into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let stride = stride ?? columns
    check(source.byteCount, target.byteCount, rows, columns, stride, size: 2)
    // SAFETY: both hold the elements of rows · columns.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_2($0, $1, rows, columns, stride)
    }
  }

  /// Elements of four bytes.
  public static func words(
    _ source: RawSpan, rows: Int, columns: Int, stride: Int? = nil,
    into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let stride = stride ?? columns
    check(source.byteCount, target.byteCount, rows, columns, stride, size: 4)
    // SAFETY: both hold the elements of rows · columns.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_4($0, $1, rows, columns, stride)
    }
  }

  private static func check(
    _ source: Int, _ target: Int, _ rows: Int, _ columns: Int, _ stride: Int, size: Int
  ) {
    precondition(rows >= 0 && columns >= 0 && stride >= columns)
    precondition(target == rows * columns * size)
    precondition(rows > 0 ? source == ((rows - 1) * stride + columns) * size : source == 0)
  }
}
