import Kernels
import TensorCore

/// How large scaled weights may become so that F16 holds them on both sides of a site: w·s after it, w/s before.
struct ScaleRange {
  private static let most: Float = 65504
  /// The largest |w| of each input channel of the site's linear layers.
  private var columns: [Float]
  /// The largest |w| of each row of the source; none where that is a norm.
  private var rows: [Float] = []

  init(_ weights: [Matrix], source: Matrix?, rows: Range<Int>) {
    columns = [Float](repeating: 0, count: weights.first?.columns ?? 0)
    for weight in weights {
      for (index, value) in weight.values.enumerated() {
        let column = index % weight.columns
        columns[column] = max(columns[column], value.magnitude)
      }
    }
    guard let source else { return }
    self.rows = rows.map { row in
      source.values[row * source.columns..<(row + 1) * source.columns]
        .reduce(0) { max($0, $1.magnitude) }
    }
  }

  func holds(_ scales: [Float]) -> Bool {
    zip(columns, scales).allSatisfy { $0 * $1 <= Self.most }
      && zip(rows, scales).allSatisfy { $0 / $1 <= Self.most }
  }
}
