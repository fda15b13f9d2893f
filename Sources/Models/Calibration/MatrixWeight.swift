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
