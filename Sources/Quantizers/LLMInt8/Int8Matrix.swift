public import TensorCore

/// A matrix of int8 with one scale for each row, and the columns that were left out of it.
public struct Int8Matrix: Equatable, Sendable {
  public let rows: Int
  public let columns: Int
  /// [rows][columns], row-major.
  public let codes: [Int8]
  /// The largest magnitude of each row; codes are value · 127 / scale.
  public let scales: [Float]
  /// Columns that hold a value at or above the threshold, ascending; none where it is 0.
  public let outlierColumns: [Int]
  /// The values at or above the threshold.
  public let outlierCount: Int

  /// The values [rows][columns], row-major, as a f16 tensor would hold them, by row: the code is
  /// value · (127 / scale), rounded to nearest, ties to even.
  ///
  /// With a threshold above 0, values of that magnitude or more enter neither the scale of their
  /// row nor its codes, and of several rows every code of such a column is 0, so that the column
  /// can be multiplied in floating point; other values of it still enter the scales of their rows,
  /// as in the peer's code. O(values).
  ///
  /// A row of zeros has the scale 0. Throws `cannotRepresent` where a value is not finite in f16.
  public init(
    quantizing values: [Float], columns: Int, threshold: Float = 0
  ) throws(Failure) {
    precondition(columns > 0 && values.count % columns == 0)
    let halves = values.map { Float(Float16($0)) }
    if let index = halves.firstIndex(where: { !$0.isFinite }) {
      throw Failure(
        .cannotRepresent, at: "row \(index / columns), column \(index % columns)",
        "the value is not finite in f16", found: "\(values[index])")
    }
    let isOutlier = { (value: Float) in threshold > 0 && value.magnitude >= threshold }
    let rows = values.count / columns
    var holds = [Bool](repeating: false, count: columns)
    var outliers = 0
    for (index, value) in halves.enumerated() where isOutlier(value) {
      holds[index % columns] = true
      outliers += 1
    }
    var codes = [Int8](repeating: 0, count: values.count)
    var scales = [Float](repeating: 0, count: rows)
    for row in 0..<rows {
      let line = halves[row * columns..<(row + 1) * columns]
      scales[row] = line.reduce(0) { isOutlier($1) ? $0 : max($0, $1.magnitude) }
      guard scales[row] > 0 else { continue }
      let factor = 127 / scales[row]
      for (column, value) in line.enumerated() where !holds[column] {
        codes[row * columns + column] = Int8((value * factor).rounded(.toNearestOrEven))
      }
    }
    (self.rows, self.columns, self.codes, self.scales) = (rows, columns, codes, scales)
    outlierColumns = holds.indices.filter { holds[$0] }
    outlierCount = outliers
  }

  /// A matrix as a checkpoint stores it. Traps where the counts differ.
  public init(codes: [Int8], scales: [Float], columns: Int) {
    precondition(codes.count == scales.count * columns)
    (rows, self.columns, self.codes, self.scales) = (scales.count, columns, codes, scales)
    (outlierColumns, outlierCount) = ([], 0)
  }

  /// The part of all values that are outliers.
  public var outlierFraction: Double {
    codes.isEmpty ? 0 : Double(outlierCount) / Double(codes.count)
  }

  /// One value: code · scale · 7.874016e-3, which is 1/127 in f32.
  public func value(row: Int, column: Int) -> Float {
    Float(codes[row * columns + column]) * scales[row] * 7.874_015_7e-3
  }
}
