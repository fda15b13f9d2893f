internal import Kernels
internal import TensorCore

/// A matrix in memory in the place of one of the checkpoint.
struct MatrixWeight: WeightSource {
  let name: String
  let matrix: Matrix

  var rows: Int { matrix.rows }
  var columns: Int { matrix.columns }
  var denseType: DType { .f32 }
  var form: QuantizedForm? { nil }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = columns * 4
    weights.copy(
      from: matrix.values.rawSpan.part(rows.lowerBound * size..<rows.upperBound * size))
  }

  func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  private var noCodes: Failure {
    Failure(.internal, at: name, "a dense matrix was asked for codes")
  }
}

extension WeightSource {
  /// All weights, dequantized. Throws `io`.
  func readMatrix() throws -> Matrix {
    let workspace = Workspace()
    let band = 1024
    var values: [Float] = []
    values.reserveCapacity(rows * columns)
    for start in stride(from: 0, to: rows, by: band) {
      let range = start..<min(start + band, rows)
      try workspace.lend(range.count * columns * 4) { bytes in
        try readWeights(range, into: &bytes, workspace)
        let bytes = bytes.bytes
        for index in 0..<range.count * columns { values.append(bytes.float32(at: index)) }
      }
    }
    return Matrix(rows: rows, columns: columns, values: values)
  }
}
