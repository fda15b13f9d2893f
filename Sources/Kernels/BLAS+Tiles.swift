internal import COpenBLAS

extension BLAS {
  /// A matrix in f32 within a larger one: `stride` numbers from one row to the next.
  @safe
  struct Tile {
    let address: UnsafePointer<Float>
    let stride: Int

    /// The caller sees to it that the rows a product reads are there.
    init(_ address: UnsafePointer<Float>, stride: Int) {
      // SAFETY: only kept.
      unsafe self.address = address
      self.stride = stride
    }
  }

  /// c [rows][columns] = a [rows][depth] · bᵀ, b [columns][depth], or with `isTransposed` false · b
  /// [depth][columns]; plus `kept` · c. On the calling thread.
  ///
  /// The caller sees to it that c and the tiles hold what the shape says.
  static func multiply(
    _ a: Tile, _ b: Tile, isTransposed: Bool = true, rows: Int, columns: Int, depth: Int,
    keeping kept: Float, into c: UnsafeMutablePointer<Float>, stride: Int
  ) {
    precondition(isOneThreaded && rows > 0 && columns > 0 && depth > 0)
    // SAFETY: the caller's word; OpenBLAS reads and writes what the shape and strides say.
    unsafe cblas_sgemm(
      CblasRowMajor, CblasNoTrans, isTransposed ? CblasTrans : CblasNoTrans, Int32(rows),
      Int32(columns), Int32(depth), 1, a.address, Int32(a.stride), b.address, Int32(b.stride), kept,
      c, Int32(stride))
  }
}
