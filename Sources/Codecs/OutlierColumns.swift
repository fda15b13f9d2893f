import Kernels
import TensorCore

/// Inputs whose weights are spread much wider than those of the others: the standard deviation of
/// the column lies more than `zScore` standard deviations above the mean of all columns', the rule of
/// bitsandbytes' `find_outlier_dims`. LLM.int8() itself looks at activations, which no file holds.
struct OutlierColumns {
  static let zScore = 4.0
  /// As many are listed at most.
  static let shown = 32

  let indices: [Int]

  /// Reads all weights, in f64 sums. O(rows × columns) time, O(columns) memory. Throws `io`.
  init(of layer: any PackedLayer, _ workspace: Workspace) throws {
    let form = layer.form
    var sums = [Double](repeating: 0, count: form.columns)
    var squares = sums
    for band in form.bands(.outputMajor, bytes: BandSize.turned / 4) {
      try workspace.lend(band.count * 4) { weights in
        try layer.readWeights(band, into: &weights, workspace)
        for row in 0..<band.rows.count {
          for column in 0..<form.columns {
            let weight = Double(weights.bytes.float32(at: row * form.columns + column))
            sums[column] += weight
            squares[column] += weight * weight
          }
        }
      }
    }
    indices = Self.outliers(
      zip(sums, squares).map { Self.deviation(sum: $0, squares: $1, count: form.rows) })
  }

  /// Positions of values more than `zScore` deviations above the mean.
  static func outliers(_ values: [Double]) -> [Int] {
    let sum = values.reduce(0, +)
    let squares = values.reduce(0) { $0 + $1 * $1 }
    let spread = deviation(sum: sum, squares: squares, count: values.count)
    let mean = sum / Double(max(values.count, 1))
    guard spread > 0 else { return [] }
    return values.indices.filter { (values[$0] - mean) / spread > zScore }
  }

  /// The standard deviation of a sample.
  private static func deviation(sum: Double, squares: Double, count: Int) -> Double {
    guard count > 1 else { return 0 }
    let variance = (squares - sum * sum / Double(count)) / Double(count - 1)
    return max(variance, 0).squareRoot()
  }
}
