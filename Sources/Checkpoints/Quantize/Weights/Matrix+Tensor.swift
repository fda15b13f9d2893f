internal import Kernels
internal import TensorCore

extension QuantizedModules.Module {
  /// The weight as outputs × inputs, however the checkpoint holds it. Throws `io`.
  var matrix: Matrix {
    get throws {
      let stored = try Matrix(reading: weight)
      return isTransposed ? stored.transposed : stored
    }
  }
}

extension Matrix {
  /// Rows as columns.
  var transposed: Matrix {
    var result = Matrix(rows: columns, columns: rows)
    result.values.withMutableBytes {
      Transpose.words(values.rawSpan, rows: rows, columns: columns, into: &$0)
    }
    return result
  }

  /// The numbers of a dense two-dimensional tensor, band by band in parallel. Throws `io`, `unsupported` for types that
  /// are no plain floats.
  init(reading tensor: Tensor, threads: Int = Processor.cores) throws {
    guard let (rows, columns) = tensor.shape.matrix else {
      throw Failure(
        .unsupported, at: tensor.place, "no matrix", expected: "two dimensions",
        found: "\(tensor.shape)")
    }
    self.init(rows: rows, columns: columns)
    let (band, size) = (1 << 20, tensor.dtype.bits / 8)
    try values.withMutableBytes { bytes in
      try parallelFor(partsOf: &bytes, size: band * 4, threads: threads) { index, part in
        if tensor.dtype == .f32 { return try tensor.read(into: &part, at: index * band * 4) }
        try Workspace().lend(part.byteCount / 4 * size) { stored in
          try tensor.read(into: &stored, at: index * band * size)
          try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &part)
        }
      }
    }
  }
}

extension SquareMatrix {
  /// The numbers of a square tensor: F64 as they are, other floats in f32. Throws `io`, `unsupported` for types
  /// that are no plain floats. Traps where the tensor is not square.
  static func reading(_ tensor: Tensor) throws -> SquareMatrix {
    guard tensor.dtype == .f64 else {
      let matrix = try Matrix(reading: tensor)
      return SquareMatrix(matrix.values, count: matrix.rows)
    }
    let block = try tensor.contents()
    return SquareMatrix(block.bytes, count: tensor.shape[0], precision: .double)
  }
}
