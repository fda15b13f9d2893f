public import Kernels
internal import TensorCore

extension PackedLayer {
  /// Dequantizes whole rows: `weights` is float32 `[rows][columns]`, each product rounded once, and
  /// where a term is added the sum rounded again.
  ///
  /// Reads codes, scales and offsets of the rows only. Rows start on a multiple of
  /// `Region.alignment`. Throws `io`.
  public func readWeights(
    rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let columns = form.columns
    let groups = form.groups
    let parameters = Region(rows: rows, columns: 0..<groups)
    let region = Region(rows: rows, columns: 0..<columns)
    try workspace.lend(region.count) { codes in
      try readCodes(region, .outputMajor, into: &codes, workspace)
      try workspace.lend(parameters.count * 4) { scales in
        try readFloatScales(parameters, .outputMajor, into: &scales, workspace)
        let offsetSize = form.offset == .none ? 0 : 4
        try workspace.lend(parameters.count * offsetSize) { offsets in
          try readFloatOffsets(parameters, .outputMajor, into: &offsets, workspace)
          for row in 0..<rows.count {
            let run = row * columns..<(row + 1) * columns
            let pick = row * groups * 4..<(row + 1) * groups * 4
            let shift = row * groups * offsetSize..<(row + 1) * groups * offsetSize
            var target = weights.part(run.lowerBound * 4..<run.upperBound * 4)
            form.dequantize(
              codes.bytes.part(run), scales: scales.bytes.part(pick),
              offsets: offsets.bytes.part(shift), into: &target)
          }
        }
      }
    }
  }

  /// Scales as float32, which holds every stored type exactly.
  public func readFloatScales(
    _ region: Region, _ order: Order, into floats: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let type = form.scaleType
    try workspace.lend(region.count * type.bits / 8) { stored in
      try readScales(region, order, into: &stored, workspace)
      try FloatConversion.toFloat32(type, stored.bytes, into: &floats)
    }
  }

  /// Offsets as float32, which holds whole zero points and every stored type exactly; none where
  /// the form has none.
  public func readFloatOffsets(
    _ region: Region, _ order: Order, into floats: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard form.offset != .none else { return }
    try workspace.lend(region.count * form.offset.byteCount) { stored in
      try readOffsets(region, order, into: &stored, workspace)
      switch form.offset {
      case .none: break
      case .integer:
        for index in 0..<region.count {
          floats.set(Float(stored.bytes.uint16(at: index)).bitPattern, at: index)
        }
      case .real(let type), .added(let type):
        try FloatConversion.toFloat32(type, stored.bytes, into: &floats)
      }
    }
  }
}

extension QuantizedForm {
  /// One row: `codes` of every column, float32 `scales` and `offsets` of every group.
  fileprivate func dequantize(
    _ codes: RawSpan, scales: RawSpan, offsets: RawSpan, into weights: inout MutableRawSpan
  ) {
    guard case .columns(let size) = grouping else {
      return dequantizeByColumn(codes, scales: scales, offsets: offsets, into: &weights)
    }
    switch (grid, offset) {
    case (.affine, .integer), (.affine, .real):
      Dequantize.affineRun(codes, group: size, scales: scales, zeros: offsets, into: &weights)
    case (.affine, .added):
      Dequantize.addedRun(codes, group: size, scales: scales, added: offsets, into: &weights)
    case (.table(_, let values), .none):
      Dequantize.tableRun(
        codes, table: values.rawSpan, group: size, scales: scales, into: &weights)
    default:
      dequantizeByColumn(codes, scales: scales, offsets: offsets, into: &weights)
    }
  }

  private func dequantizeByColumn(
    _ codes: RawSpan, scales: RawSpan, offsets: RawSpan, into weights: inout MutableRawSpan
  ) {
    for column in 0..<columns {
      let group = grouping.group(ofColumn: column)
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
