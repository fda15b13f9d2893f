import Kernels
import TensorCore

extension QuantizedForm {
  /// The groups that a region of codes needs: those of its columns, or all where they are permuted.
  func parameters(of region: Region) -> Region {
    guard case .columns(let size) = grouping else {
      return Region(rows: region.rows, columns: 0..<groups)
    }
    precondition(region.columns.lowerBound % size == 0)
    let end = region.columns.upperBound.dividedRoundingUp(by: size)
    return Region(rows: region.rows, columns: region.columns.lowerBound / size..<end)
  }

  /// The codes of row `row` of a region; float32 `scales` and `offsets` are the region's.
  func dequantize(
    _ codes: RawSpan, _ region: Region, row: Int, scales: RawSpan, offsets: RawSpan,
    into weights: inout MutableRawSpan
  ) {
    let groups = parameters(of: region).columns.count
    let picked = row * groups * 4..<(row + 1) * groups * 4
    let scales = scales.part(picked)
    let offsets = offsets.isEmpty ? offsets : offsets.part(picked)
    if case .columns(let size) = grouping {
      dequantize(codes, group: size, scales: scales, offsets: offsets, into: &weights)
    } else {
      dequantizeByColumn(codes, scales: scales, offsets: offsets, into: &weights) {
        grouping.group(ofColumn: region.columns.lowerBound + $0)
      }
    }
    if let factor { Dequantize.multiply(&weights, by: factor) }
  }

  /// The same rounded to `type` in one pass, where there is one for it; false otherwise.
  func dequantize(
    _ codes: RawSpan, _ region: Region, row: Int, scales: RawSpan, offsets: RawSpan,
    as type: DType, into halves: inout MutableRawSpan
  ) -> Bool {
    guard case .columns(let size) = grouping else { return false }
    let groups = parameters(of: region).columns.count
    let picked = row * groups * 4..<(row + 1) * groups * 4
    return dequantize(
      codes, group: size, scales: scales.part(picked),
      offsets: offsets.isEmpty ? offsets : offsets.part(picked), as: type, into: &halves)
  }

  /// Codes of neighbouring columns in runs of `size`, rounded to `type` in one pass, where there is one
  /// for it; false otherwise.
  func dequantize(
    _ codes: RawSpan, group size: Int, scales: RawSpan, offsets: RawSpan, as type: DType,
    into halves: inout MutableRawSpan
  ) -> Bool {
    guard type == .bf16, factor == nil, case .affine = grid else { return false }
    switch offset {
    case .none: return false
    case .integer, .real:
      Dequantize.affineRunBF16(codes, group: size, scales: scales, zeros: offsets, into: &halves)
    case .added:
      Dequantize.addedRunBF16(codes, group: size, scales: scales, added: offsets, into: &halves)
    }
    return true
  }

  /// Codes of neighbouring columns in runs of `size`.
  func dequantize(
    _ codes: RawSpan, group size: Int, scales: RawSpan, offsets: RawSpan,
    into weights: inout MutableRawSpan
  ) {
    switch (grid, offset) {
    case (.affine, .integer), (.affine, .real):
      Dequantize.affineRun(codes, group: size, scales: scales, zeros: offsets, into: &weights)
    case (.affine, .added):
      Dequantize.addedRun(codes, group: size, scales: scales, added: offsets, into: &weights)
    case (.table(_, let values), .none):
      Dequantize.tableRun(
        codes, table: values.rawSpan, group: size, scales: scales, into: &weights)
    default:
      dequantizeByColumn(codes, scales: scales, offsets: offsets, into: &weights) { $0 / size }
    }
  }

  private func dequantizeByColumn(
    _ codes: RawSpan, scales: RawSpan, offsets: RawSpan, into weights: inout MutableRawSpan,
    group: (Int) -> Int
  ) {
    for column in 0..<codes.byteCount {
      let group = group(column)
      let code = codes.uint8(at: column)
      let value: Float =
        switch grid {
        case .affine: Float(code)
        case .table(_, let values): values[Int(code)]
        }
      let scale = scales.float32(at: group)
      let weight: Float =
        switch offset {
        case .none: scale * value
        case .integer, .real: scale * (value - offsets.float32(at: group))
        case .added: scale * value + offsets.float32(at: group)
        }
      weights.set(weight.bitPattern, at: column)
    }
  }
}
