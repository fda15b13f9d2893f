/// A dense f32 matrix in memory, `[rows][columns]`, row-major: rows are outputs, columns inputs.
public struct Matrix: Sendable, Equatable {
  public let rows: Int
  public let columns: Int
  public var values: [Float]

  /// Traps where the count does not fit.
  public init(rows: Int, columns: Int, values: [Float]) {
    precondition(values.count == rows * columns)
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  public init(rows: Int, columns: Int) {
    self.init(rows: rows, columns: columns, values: [Float](repeating: 0, count: rows * columns))
  }
}
