import Kernels
import TensorCore

/// A layer of LLM.int8() open for reading: w = (q · maximum) · 1/127, each product rounded to float32
/// (BNB-22).
struct BitsAndBytesInt8Layer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let weight: Int8Weight

  init(_ claim: LayerClaim, _ weight: Int8Weight) {
    self.claim = claim
    self.weight = weight
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: .int8,
      grouping: .columns(size: claim.columns), scaleType: .f32, offset: .none,
      factor: Grid.int8Factor)
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnCodes(region, order, into: &codes, workspace) { rows in
      try weight.codes.readRectangle(
        into: &rows, rows: region.rows, rowBytes: claim.columns, run: region.columns)
      Bytes.shift(&rows, adding: 128)
    }
  }

  /// One scale a row, the same in either order.
  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard region.count > 0 else { return }
    try weight.maxima.read(into: &scales, at: region.rows.lowerBound * 4)
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {}

  /// From signed codes to numbers without a table, a row at a time so that float32 stays in the cache.
  func readRounded(
    _ rows: Range<Int>, as type: DType, into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let width = claim.columns
    let size = width * type.bits / 8
    try workspace.lend(rows.count * 4) { maxima in
      try weight.maxima.read(into: &maxima, at: rows.lowerBound * 4)
      try workspace.lend(width) { codes in
        try workspace.lend(width * 4) { weights in
          for (position, row) in rows.enumerated() {
            try weight.codes.read(into: &codes, at: row * width)
            Dequantize.signedRun(
              codes.bytes, group: width,
              scales: maxima.bytes.part(position * 4..<(position + 1) * 4),
              factor: Grid.int8Factor, into: &weights)
            var target = values.part(position * size..<(position + 1) * size)
            try FloatConversion.fromFloat32(type, weights.bytes, into: &target)
          }
        }
      }
    }
  }

  func remarks(_ workspace: Workspace) throws -> JSONObject {
    let columns = try OutlierColumns(of: self, workspace)
    return JSONObject([
      "outlier_columns": .array(columns.indices.prefix(OutlierColumns.shown).map { .integer($0) }),
      "outlier_column_count": .integer(columns.indices.count),
    ])
  }
}
