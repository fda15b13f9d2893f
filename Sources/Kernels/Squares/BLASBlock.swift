internal import COpenBLAS

/// A rectangle of a row-major matrix, rows `stride` numbers apart.
///
/// Whoever makes one sees to it that the matrix lives on and that no other thread writes what is used.
@safe
struct BLASBlock: @unchecked Sendable {
  let address: UnsafeMutableRawPointer
  let rows: Int
  let columns: Int
  let stride: Int
  let precision: SquareMatrix.Precision

  var f32: UnsafeMutablePointer<Float> { unsafe address.assumingMemoryBound(to: Float.self) }
  var f64: UnsafeMutablePointer<Double> { unsafe address.assumingMemoryBound(to: Double.self) }
  var lead: Int32 { Int32(stride) }

  /// self = alpha·a·b + beta·self, a and b transposed where asked.
  func multiply(
    _ a: BLASBlock, turnsLeft left: Bool = false, _ b: BLASBlock,
    turnsRight right: Bool = false, times alpha: Float = 1, adding beta: Float
  ) {
    let depth = left ? a.rows : a.columns
    precondition(BLAS.isOneThreaded && rows == (left ? a.columns : a.rows))
    precondition(columns == (right ? b.rows : b.columns) && depth == (right ? b.columns : b.rows))
    guard rows > 0, columns > 0 else { return }
    let (m, n, k) = (Int32(rows), Int32(columns), Int32(depth))
    let (left, right) = (left ? CblasTrans : CblasNoTrans, right ? CblasTrans : CblasNoTrans)
    // SAFETY: the shapes were checked; the blocks lie within their matrices.
    switch precision {
    case .single:
      unsafe cblas_sgemm(
        CblasRowMajor, left, right, m, n, k, alpha, a.f32, a.lead, b.f32, b.lead, beta, f32, lead)
    case .double:
      unsafe cblas_dgemm(
        CblasRowMajor, left, right, m, n, k, Double(alpha), a.f64, a.lead, b.f64, b.lead,
        Double(beta), f64, lead)
    }
  }

  /// The upper triangle of self += aᵀ·a.
  func addGram(_ a: BLASBlock) {
    precondition(BLAS.isOneThreaded && rows == columns && rows == a.columns)
    let (n, k) = (Int32(rows), Int32(a.rows))
    // SAFETY: as above.
    switch precision {
    case .single:
      unsafe cblas_ssyrk(
        CblasRowMajor, CblasUpper, CblasTrans, n, k, 1, a.f32, a.lead, 1, f32, lead)
    case .double:
      unsafe cblas_dsyrk(
        CblasRowMajor, CblasUpper, CblasTrans, n, k, 1, a.f64, a.lead, 1, f64, lead)
    }
  }

  /// self = self·(triangleᵀ)⁻¹, an upper triangle.
  func solve(right triangle: BLASBlock) {
    precondition(BLAS.isOneThreaded && triangle.rows == columns && triangle.columns == columns)
    let (m, n) = (Int32(rows), Int32(columns))
    // SAFETY: as above.
    switch precision {
    case .single:
      unsafe cblas_strsm(
        CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, m, n, 1, triangle.f32,
        triangle.lead, f32, lead)
    case .double:
      unsafe cblas_dtrsm(
        CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, m, n, 1, triangle.f64,
        triangle.lead, f64, lead)
    }
  }

  /// self = alpha·triangle·self, an upper triangle, transposed where asked.
  func multiply(_ alpha: Float, left triangle: BLASBlock, transposed: Bool = false) {
    precondition(BLAS.isOneThreaded && triangle.rows == rows && triangle.columns == rows)
    let (m, n) = (Int32(rows), Int32(columns))
    let turn = transposed ? CblasTrans : CblasNoTrans
    // SAFETY: as above.
    switch precision {
    case .single:
      unsafe cblas_strmm(
        CblasRowMajor, CblasLeft, CblasUpper, turn, CblasNonUnit, m, n, alpha, triangle.f32,
        triangle.lead, f32, lead)
    case .double:
      unsafe cblas_dtrmm(
        CblasRowMajor, CblasLeft, CblasUpper, turn, CblasNonUnit, m, n, Double(alpha),
        triangle.f64, triangle.lead, f64, lead)
    }
  }
}
