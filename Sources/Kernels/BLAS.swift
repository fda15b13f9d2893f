internal import COpenBLAS
internal import TensorCore

/// Products of f32 matrices by OpenBLAS, on the calling thread alone.
///
/// OpenBLAS gives other bits for other numbers of threads, so it never starts any: what is to run
/// on many cores is cut into tiles of fixed size.
public enum BLAS {
  static let isOneThreaded: Bool = {
    openblas_set_num_threads(1)
    return true
  }()

  /// The processor that OpenBLAS has chosen its kernels for, such as `SkylakeX`.
  public static let core: String = {
    precondition(isOneThreaded)
    // SAFETY: a constant of the library.
    return unsafe openblas_get_corename().map { unsafe String(cString: $0) } ?? "unknown"
  }()

  /// a [rows][depth] times the transpose of b [columns][depth] into c [rows][columns], all f32,
  /// row-major. O(rows·columns·depth). Traps where the lengths do not fit, or a side passes 2³¹−1.
  public static func multiplyTransposed(
    _ a: RawSpan, rows: Int, _ b: RawSpan, columns: Int, depth: Int, into c: inout MutableRawSpan
  ) {
    precondition(isOneThreaded && depth > 0)
    precondition(a.byteCount == rows * depth * 4 && b.byteCount == columns * depth * 4)
    precondition(c.byteCount == rows * columns * 4)
    // SAFETY: the lengths are as stated above; empty operands are left out by `lend`.
    unsafe lend(a, b, &c) { a, b, c in
      unsafe cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows), Int32(columns), Int32(depth), 1,
        a.assumingMemoryBound(to: Float.self), Int32(depth),
        b.assumingMemoryBound(to: Float.self), Int32(depth), 0,
        c.assumingMemoryBound(to: Float.self), Int32(columns))
    }
  }
}
