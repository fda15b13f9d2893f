import Kernels
import TensorCore

/// Some rows of a weight, column by column: f32 `[columns][rows]`, so that vectors go down the rows.
final class ColumnPanel {
  let rows: Int
  let columns: Int
  private var values: AlignedBytes
  private var original: AlignedBytes
  private var codes: AlignedBytes

  /// Rows of `weight`. Throws `cannotRepresent` where one of their numbers is not finite.
  init(_ weight: Matrix, _ rows: Range<Int>, name: String) throws(Failure) {
    (self.rows, columns) = (rows.count, weight.columns)
    values = AlignedBytes(count: rows.count * weight.columns * 4)
    original = AlignedBytes(count: 0)
    codes = AlignedBytes(count: rows.count * weight.columns)
    let width = weight.columns * 4
    let source = weight.values.rawSpan.part(rows.lowerBound * width..<rows.upperBound * width)
    let found = FloatStatistics(source)
    if found.finiteCount < found.count {
      let index = (0..<found.count).first { !source.float32(at: $0).isFinite } ?? 0
      throw Failure(
        .cannotRepresent, at: name, "a weight is not finite",
        found: "\(source.float32(at: index)) in row \(rows.lowerBound + index / columns), "
          + "column \(index % columns)")
    }
    values.withMutableBytes(count: values.count) {
      Transpose.words(source, rows: rows.count, columns: weight.columns, into: &$0)
    }
  }

  /// Columns as they are now.
  func lend(_ part: Range<Int>, _ body: (RawSpan) -> Void) {
    values.withBytes { body($0.part(place(part))) }
  }

  /// Keeps the columns as they are now for `lendOriginal`.
  func keepOriginal() {
    original = AlignedBytes(count: values.count)
    original.withMutableBytes(count: values.count) { target in
      values.withBytes { target.copy(from: $0) }
    }
  }

  /// Columns as they were when they were kept.
  func lendOriginal(_ part: Range<Int>, _ body: (RawSpan) -> Void) {
    original.withBytes { body($0.part(place(part))) }
  }

  /// Columns, to be changed.
  func change(_ part: Range<Int>, _ body: (inout MutableRawSpan) -> Void) {
    values.withMutableBytes(count: values.count) {
      var some = $0.part(place(part))
      body(&some)
    }
  }

  /// Columns become 0.
  func clear(_ columns: [Int]) {
    for column in columns {
      change(column..<column + 1) { for row in 0..<rows { $0.set(0 as UInt32, at: row) } }
    }
  }

  /// Column `order[i]` comes to place i.
  func reorder(_ order: [Int]) {
    var moved = AlignedBytes(count: values.count)
    moved.withMutableBytes(count: moved.count) { target in
      values.withBytes { source in
        for (index, column) in order.enumerated() {
          var to = target.part(place(index..<index + 1))
          to.copy(from: source.part(place(column..<column + 1)))
        }
      }
    }
    values = moved
  }

  /// Σ of all numbers squared.
  var squares: Double { values.withBytes { FloatStatistics($0).sumOfSquares } }

  /// Codes of columns, `[columns][rows]`, each to where its column lies in the weight.
  func setCodes(_ columns: ArraySlice<Int>, _ source: RawSpan) {
    codes.withMutableBytes(count: codes.count) { all in
      for (index, column) in columns.enumerated() {
        var some = all.part(column * rows..<(column + 1) * rows)
        some.copy(from: source.part(index * rows..<(index + 1) * rows))
      }
    }
  }

  /// Columns and where their codes go.
  func roundColumns(
    _ part: Range<Int>, _ body: (_ values: RawSpan, _ codes: inout MutableRawSpan) -> Void
  ) {
    codes.withMutableBytes(count: codes.count) { all in
      var some = all.part(part.lowerBound * rows..<part.upperBound * rows)
      values.withBytes { body($0.part(place(part)), &some) }
    }
  }

  /// All codes, `[rows][columns]`.
  var codesByRow: [UInt8] {
    var turned = AlignedBytes(count: codes.count)
    turned.withMutableBytes(count: turned.count) { target in
      codes.withBytes { Transpose.bytes($0, rows: columns, columns: rows, into: &target) }
    }
    return turned.bytes.array
  }

  private func place(_ part: Range<Int>) -> Range<Int> {
    part.lowerBound * rows * 4..<part.upperBound * rows * 4
  }
}
