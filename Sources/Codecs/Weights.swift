public import Kernels
internal import TensorCore

extension PackedLayer {
  /// Dequantizes whole rows: `weights` is float32 `[rows][columns]`, each `s·(q − z)` rounded once.
  ///
  /// Reads codes, scales and zero points of the rows only. Rows start on a multiple of
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
        try workspace.lend(parameters.count * 4) { zeros in
          try readFloatOffsets(parameters, into: &zeros, workspace)
          for row in 0..<rows.count {
            let run = row * columns..<(row + 1) * columns
            let pick = row * groups * 4..<(row + 1) * groups * 4
            var target = weights.part(run.lowerBound * 4..<run.upperBound * 4)
            form.dequantize(
              codes.bytes.part(run), scales: scales.bytes.part(pick),
              zeros: zeros.bytes.part(pick), into: &target)
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

  private func readFloatOffsets(
    _ region: Region, into floats: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 2) { zeros in
      try readOffsets(region, .outputMajor, into: &zeros, workspace)
      for index in 0..<region.count {
        floats.set(Float(zeros.bytes.uint16(at: index)).bitPattern, at: index)
      }
    }
  }
}

extension QuantizedForm {
  /// One row: `codes` of every column, float32 `scales` and `zeros` of every group.
  fileprivate func dequantize(
    _ codes: RawSpan, scales: RawSpan, zeros: RawSpan, into weights: inout MutableRawSpan
  ) {
    switch grouping {
    case .columns(let size):
      Dequantize.affineRun(codes, group: size, scales: scales, zeros: zeros, into: &weights)
    case .map(let groups, _):
      for column in 0..<columns {
        let group = Int(groups[column])
        let code = Float(codes.uint8(at: column))
        let weight = scales.float32(at: group) * (code - zeros.float32(at: group))
        weights.set(weight.bitPattern, at: column)
      }
    }
  }
}
