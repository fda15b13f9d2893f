internal import Kernels
internal import TensorCore

extension Matrix {
  /// The numbers of a dense two-dimensional tensor. Memory besides them is a block. Throws `io`,
  /// `unsupported` for types that are no plain floats.
  init(reading tensor: Tensor) throws {
    guard let (rows, columns) = tensor.shape.matrix else {
      throw Failure(
        .unsupported, at: tensor.place, "no matrix", expected: "two dimensions",
        found: "\(tensor.shape)")
    }
    var values: [Float] = []
    values.reserveCapacity(rows * columns)
    let workspace = Workspace()
    try tensor.forEachBlock { _, bytes in
      let count = bytes.byteCount * 8 / tensor.dtype.bits
      try workspace.lend(count * 4) { floats in
        try FloatConversion.toFloat32(tensor.dtype, bytes, into: &floats)
        for index in 0..<count { values.append(floats.bytes.float32(at: index)) }
      }
    }
    self.init(rows: rows, columns: columns, values: values)
  }
}
