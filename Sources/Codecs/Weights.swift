public import Kernels
public import TensorCore

extension PackedLayer {
  /// Dequantizes a region: `weights` is float32 `[rows][columns]`, each product rounded once, and
  /// where a term is added the sum rounded again.
  ///
  /// Reads codes, scales and offsets of the region only. Its columns begin on a group and on a
  /// multiple of `Region.alignment`, as its rows do. Throws `io`.
  public func readWeights(
    _ region: Region, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = region.columns.count * 4
    try withParameters(of: region, workspace) { scales, offsets in
      try forEachCodeRow(of: region, workspace) { row, codes in
        var target = weights.part(row * size..<(row + 1) * size)
        form.dequantize(
          codes, region, row: row, scales: scales, offsets: offsets, into: &target)
      }
    }
  }

  /// Dequantizes a region and rounds each weight once to `type`, BF16, F16 or F32, nearest and ties to
  /// even: `dense` is `[rows][columns]`. A row at a time, so that float32 stays in the cache; codes of
  /// up to 4 bits are looked up among the few weights that their group can have (`WeightTables`).
  ///
  /// `check` sees float32 that holds each weight of a row. Regions as for `readWeights`. Throws `io`,
  /// and what `check` throws.
  public func readDense(
    _ region: Region, as type: DType, into dense: inout MutableRawSpan, _ workspace: Workspace,
    check: (_ weights: RawSpan) throws -> Void = { _ in }
  ) throws {
    let columns = region.columns.count
    let size = columns * type.bits / 8
    try withParameters(of: region, workspace) { scales, offsets in
      let tables = WeightTables(form, region, as: type)
      try tables.lend(workspace) { table, values in
        try workspace.lend(columns * 4) { weights in
          var isUsable = false
          try forEachCodeRow(of: region, workspace) { row, codes in
            if row % tables.rows == 0 {
              isUsable = try tables.make(
                from: row, scales: scales, offsets: offsets, values: &values, into: &table)
            }
            var target = dense.part(row * size..<(row + 1) * size)
            if isUsable { return tables.lookUp(codes, row: row, in: table.bytes, into: &target) }
            form.dequantize(
              codes, region, row: row, scales: scales, offsets: offsets, into: &weights)
            try check(weights.bytes)
            try FloatConversion.fromFloat32(type, weights.bytes, into: &target)
          }
        }
      }
    }
  }

  /// Lends the float32 scales and offsets of a region, `[row][group]`.
  private func withParameters(
    of region: Region, _ workspace: Workspace,
    _ body: (_ scales: RawSpan, _ offsets: RawSpan) throws -> Void
  ) throws {
    let parameters = form.parameters(of: region)
    let offsetSize = form.offset == .none ? 0 : 4
    try workspace.lend(parameters.count * 4) { scales in
      try readFloatScales(parameters, .outputMajor, into: &scales, workspace)
      try workspace.lend(parameters.count * offsetSize) { offsets in
        try readFloatOffsets(parameters, into: &offsets, workspace)
        try body(scales.bytes, offsets.bytes)
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
