public import Kernels
public import TensorCore

/// The integers of AWQ's layers: bits, columns of a group, and whether zero points are in the middle.
public struct AWQGrid: Sendable, Equatable {
  public var bits: Int
  /// nil: whole rows.
  public var groupSize: Int?
  public var isSymmetric: Bool

  public init(bits: Int = 4, groupSize: Int? = 128, isSymmetric: Bool = false) {
    (self.bits, self.groupSize, self.isSymmetric) = (bits, groupSize, isSymmetric)
  }

  /// Throws `usage` where no layer can be so.
  public func check() throws(Failure) {
    guard (2...8).contains(bits), groupSize.map({ $0 > 0 }) ?? true else {
      throw Failure(
        .usage, at: "AWQ", "no such grid", expected: "2 to 8 bits and a group of at least 1",
        found: "\(bits) bits, \(groupSize ?? 0)")
    }
  }

  func group(_ columns: Int) -> Int { min(groupSize ?? columns, columns) }

  /// Weights as they come back from codes, in the search: scales in f32. O(weights), in parallel.
  func rounded(_ weight: Matrix, threads: Int, on level: Processor.Level) -> Matrix {
    var result = Matrix(rows: weight.rows, columns: weight.columns)
    let ranges = AWQRanges(bits: bits, isSymmetric: isSymmetric)
    result.changeRows(threads: threads) { row, target in
      weight.lendRow(row) {
        ranges.round($0, group: group(weight.columns), into: &target, on: level)
      }
    }
    return result
  }

  /// The layer as it is stored: F16 scales, and codes chosen for the rounded scales. Where the weights had been
  /// clipped the codes follow the clipped ones. Throws `cannotRepresent` where a scale is too large for F16.
  public func quantize(
    _ weight: Matrix, name: String, threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) throws -> QuantizedMatrix {
    try check()
    let ranges = AWQRanges(bits: bits, isSymmetric: isSymmetric, roundsScales: true)
    let group = group(weight.columns)
    // Rows are not runs of one another where the last group is short, so each is rounded by itself.
    let rows = try QuantizedRows.collect(rows: weight.rows, size: 64, threads: threads) { part in
      var result = QuantizedRows()
      for row in part {
        let found = weight.lendRow(row) { ranges.codes($0, group: group, on: level) }
        result.codes += found.codes
        result.scales += found.scales
        result.zeros += found.zeros.map { UInt16($0) }
      }
      return result
    }
    let form = QuantizedForm(
      rows: weight.rows, columns: weight.columns, grid: .affine(bits: bits),
      grouping: .columns(size: group), scaleType: .f16, offset: .integer)
    return try rows.matrix(form, name: name)
  }
}

extension Matrix {
  /// Lends the numbers of a row.
  func lendRow<Result>(_ row: Int, _ body: (RawSpan) -> Result) -> Result {
    let bytes = values.rawSpan
    return body(bytes.part(row * columns * 4..<(row + 1) * columns * 4))
  }

  /// Runs `body` for each row, to be overwritten, on many threads.
  mutating func changeRows(
    threads: Int, _ body: @Sendable (Int, inout MutableRawSpan) -> Void
  ) {
    let width = columns * 4
    guard width > 0 else { return }
    values.withMutableBytes { bytes in
      parallelFor(partsOf: &bytes, size: width, threads: threads) { body($0, &$1) }
    }
  }

  /// Each column multiplied by a factor, or divided.
  func columns(times factors: [Float], dividing: Bool = false) -> Matrix {
    var result = self
    for row in 0..<rows {
      for column in 0..<columns {
        let index = row * columns + column
        result.values[index] =
          dividing ? values[index] / factors[column] : values[index] * factors[column]
      }
    }
    return result
  }

  static func - (left: Matrix, right: Matrix) -> Matrix {
    Matrix(
      rows: left.rows, columns: left.columns,
      values: zip(left.values, right.values).map { $0 - $1 })
  }
}
