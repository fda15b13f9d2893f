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

  /// Weights as they come back from codes, in the search: scales in f32. With `scales` the columns are multiplied
  /// before and divided after. O(weights), in parallel.
  func rounded(
    _ weight: Matrix, scales: [Float]? = nil, threads: Int, on level: Processor.Level
  ) -> Matrix {
    var result = Matrix(rows: weight.rows, columns: weight.columns)
    let ranges = AWQRanges(bits: bits, isSymmetric: isSymmetric)
    let group = group(weight.columns)
    result.changeRows(threads: threads) { row, target in
      guard let scales else {
        return weight.lendRow(row) { ranges.round($0, group: group, into: &target, on: level) }
      }
      let first = row * weight.columns
      var scaled = Array(weight.values[first..<first + weight.columns])
      var rounded = scaled
      for column in scales.indices { scaled[column] *= scales[column] }
      rounded.withMutableBytes { ranges.round(scaled.rawSpan, group: group, into: &$0, on: level) }
      for column in scales.indices { rounded[column] /= scales[column] }
      target.copy(from: rounded.rawSpan)
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

  /// Each column multiplied by a factor.
  func columns(times factors: [Float]) -> Matrix {
    var result = self
    for row in 0..<rows {
      for column in 0..<columns { result.values[row * columns + column] *= factors[column] }
    }
    return result
  }
}
