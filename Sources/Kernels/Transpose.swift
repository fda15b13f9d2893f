import CKernels

/// Contiguous row-major matrices turned: [rows][columns] into [columns][rows], out of place.
///
/// O(elements). Traps if the lengths of source and target are not those of the matrix.
public enum Transpose {
  /// Elements of one byte.
  public static func bytes(
    _ source: RawSpan, rows: Int, columns: Int, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    check(source.byteCount, target.byteCount, rows, columns, size: 1)
    // SAFETY: both hold rows · columns elements.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_1($0, $1, rows, columns)
    }
  }

  /// Elements of two bytes.
  public static func halves(
    _ source: RawSpan, rows: Int, columns: Int, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    check(source.byteCount, target.byteCount, rows, columns, size: 2)
    // SAFETY: both hold rows · columns elements.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_2($0, $1, rows, columns)
    }
  }

  /// Elements of four bytes.
  public static func words(
    _ source: RawSpan, rows: Int, columns: Int, into target: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    check(source.byteCount, target.byteCount, rows, columns, size: 4)
    // SAFETY: both hold rows · columns elements.
    unsafe lend(source, &target) {
      unsafe level.kernels.pointee.transpose_4($0, $1, rows, columns)
    }
  }

  private static func check(
    _ source: Int, _ target: Int, _ rows: Int, _ columns: Int, size: Int
  ) {
    precondition(rows >= 0 && columns >= 0)
    precondition(source == rows * columns * size && target == source)
  }
}
