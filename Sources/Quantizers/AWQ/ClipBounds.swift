public import Kernels

/// How far the weights of each group of a linear layer may reach.
public struct ClipBounds: Sendable, Equatable {
  public let rows: Int
  public let groups: Int
  /// Columns of a group.
  public let size: Int
  /// `[rows][groups]`, at least 0; infinity: as far as they do.
  public var values: [Float]

  public init(rows: Int, groups: Int, size: Int) {
    (self.rows, self.groups, self.size) = (rows, groups, size)
    values = [Float](repeating: .infinity, count: rows * groups)
  }

  /// The weights held within the bounds.
  public func applied(to weight: Matrix) -> Matrix {
    var result = weight
    for row in 0..<rows {
      for column in 0..<weight.columns {
        let bound = values[row * groups + column / size]
        let index = row * weight.columns + column
        result.values[index] = min(max(weight.values[index], -bound), bound)
      }
    }
    return result
  }
}
