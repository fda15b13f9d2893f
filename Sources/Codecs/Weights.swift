public import Kernels
public import TensorCore

extension PackedLayer {
  /// Dequantizes a region: `weights` is float32 `[rows][columns]`, each product rounded once, and
  /// where a term is added the sum rounded again; so is a product with the form's factor.
  ///
  /// Reads codes, scales and offsets of the region only. Its columns begin on a group and on a
  /// multiple of `Region.alignment`, as its rows do. Throws `io`.
  public func readWeights(
    _ region: Region, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let columns = region.columns.count
    let parameters = form.parameters(of: region)
    let groups = parameters.columns.count
    try workspace.lend(region.count) { codes in
      try readCodes(region, .outputMajor, into: &codes, workspace)
      try workspace.lend(parameters.count * 4) { scales in
        try readFloatScales(parameters, .outputMajor, into: &scales, workspace)
        let offsetSize = form.offset == .none ? 0 : 4
        try workspace.lend(parameters.count * offsetSize) { offsets in
          try readFloatOffsets(parameters, into: &offsets, workspace)
          for row in 0..<region.rows.count {
            let run = row * columns..<(row + 1) * columns
            let pick = row * groups * 4..<(row + 1) * groups * 4
            let shift = row * groups * offsetSize..<(row + 1) * groups * offsetSize
            var target = weights.part(run.lowerBound * 4..<run.upperBound * 4)
            form.dequantize(
              codes.bytes.part(run), from: region.columns.lowerBound,
              scales: scales.bytes.part(pick), offsets: offsets.bytes.part(shift), into: &target)
          }
        }
      }
    }
    if let factor = form.factor { Dequantize.multiply(&weights, by: factor) }
  }

  public func readRounded(
    _ rows: Range<Int>, as type: DType, into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let region = Region(rows: rows, columns: 0..<form.columns)
    try workspace.lend(region.count * 4) { weights in
      try readWeights(region, into: &weights, workspace)
      try FloatConversion.fromFloat32(type, weights.bytes, into: &values)
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
    _ region: Region, _ order: Order = .outputMajor, into floats: inout MutableRawSpan,
    _ workspace: Workspace
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
  /// The groups that a region of codes needs: those of its columns, or all where they are permuted.
  func parameters(of region: Region) -> Region {
    guard case .columns(let size) = grouping else {
      return Region(rows: region.rows, columns: 0..<groups)
    }
    precondition(region.columns.lowerBound % size == 0)
    let end = region.columns.upperBound.dividedRoundingUp(by: size)
    return Region(rows: region.rows, columns: region.columns.lowerBound / size..<end)
  }

  /// One row of codes from column `first` on, float32 `scales` and `offsets` of their groups.
  fileprivate func dequantize(
    _ codes: RawSpan, from first: Int, scales: RawSpan, offsets: RawSpan,
    into weights: inout MutableRawSpan
  ) {
    guard case .columns(let size) = grouping else {
      return dequantizeByColumn(
        codes, scales: scales, offsets: offsets, into: &weights
      ) {
        grouping.group(ofColumn: first + $0)
      }
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
