public import Kernels
public import TensorCore

/// A matrix in memory in the place of one of the checkpoint.
public struct MatrixWeight: WeightSource {
  public let name: String
  let matrix: Matrix

  public init(name: String, matrix: Matrix) {
    (self.name, self.matrix) = (name, matrix)
  }

  public var rows: Int { matrix.rows }
  public var columns: Int { matrix.columns }
  public var denseType: DType { .f32 }
  public var form: QuantizedForm? { nil }

  public func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = columns * 4
    weights.copy(
      from: matrix.values.rawSpan.part(rows.lowerBound * size..<rows.upperBound * size))
  }

  public func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  public func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  public func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws { throw noCodes }

  private var noCodes: Failure {
    Failure(.internal, at: name, "a dense matrix was asked for codes")
  }
}

extension WeightSource {
  /// All weights, dequantized, band by band in parallel. Throws `io`.
  func readMatrix() throws -> Matrix {
    let (band, columns) = (32 * max(1, (1 << 15) / max(columns, 1)), columns)
    var matrix = Matrix(rows: rows, columns: columns)
    try matrix.values.withMutableBytes { bytes in
      try parallelFor(partsOf: &bytes, size: max(1, band * columns * 4)) { index, part in
        let first = index * band
        let rows = first..<first + part.byteCount / (columns * 4)
        try readWeights(rows, into: &part, Workspace())
      }
    }
    return matrix
  }
}
