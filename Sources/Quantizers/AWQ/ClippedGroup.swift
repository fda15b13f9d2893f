import Kernels
import TensorCore

/// One group of columns of some rows, to be held within bounds and rounded.
struct ClippedGroup {
  let width: Int
  /// f32 `[rows][width]`.
  let values: [Float]
  /// The largest |w| of each row.
  let most: [Float]
  private let ranges: AWQRanges
  private let level: Processor.Level

  init(
    _ weight: Matrix, rows: Range<Int>, columns: Range<Int>, _ grid: AWQGrid,
    on level: Processor.Level
  ) {
    let width = columns.count
    let values = rows.flatMap { row in
      weight.values[
        row * weight.columns + columns.lowerBound..<row * weight.columns + columns.upperBound]
    }
    most = rows.indices.map { index in
      let first = (index - rows.lowerBound) * width
      return values[first..<first + width].reduce(0) { max($0, $1.magnitude) }
    }
    (self.width, self.values, self.level) = (width, values, level)
    ranges = AWQRanges(bits: grid.bits, isSymmetric: grid.isSymmetric)
  }

  /// What the weights become minus what they are, each row held below `share` of its largest.
  func errors(within share: Float) -> [Float] {
    var held = values
    if share < 1 {
      for (row, most) in most.enumerated() {
        let bound = most * share
        for index in row * width..<(row + 1) * width {
          held[index] = min(max(values[index], -bound), bound)
        }
      }
    }
    var errors = [Float](repeating: 0, count: values.count)
    errors.withMutableBytes { ranges.round(held.rawSpan, group: width, into: &$0, on: level) }
    for index in errors.indices { errors[index] -= values[index] }
    return errors
  }
}
