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
    let size = region.columns.count * 4
    try withParameters(of: region, workspace) { scales, offsets in
      try forEachCodeRow(of: region, workspace) { row, codes in
        var target = weights.part(row * size..<(row + 1) * size)
        form.dequantize(
          codes, region, row: row, scales: scales, offsets: offsets, into: &target)
      }
    }
  }

  /// A row at a time, so that float32 stays in the cache; codes of up to 4 bits are looked up among the
  /// few weights that their group can have (`WeightTables`).
  public func readRounded(
    _ rows: Range<Int>, as type: DType, into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = form.columns * type.bits / 8
    try roundRows(rows, as: type, workspace) { row, make in
      var target = values.part(row * size..<(row + 1) * size)
      try make(&target)
    }
  }

  /// `readRounded` in strips of rows, from multiples of `Region.alignment` on, that don't leave the
  /// cache where the layer lies across: `body` gets the rows of each, counted like `rows`.
  public func readRounded(
    _ rows: Range<Int>, as type: DType, _ workspace: Workspace,
    _ body: (_ rows: Range<Int>, _ values: RawSpan) throws -> Void
  ) throws {
    let size = form.columns * type.bits / 8
    guard order == .inputMajor else {
      return try workspace.lend(rows.count * size) { values in
        try readRounded(rows, as: type, into: &values, workspace)
        try body(rows, values.bytes)
      }
    }
    let height = min(rows.count, Region.aligned(BandSize.matched / max(size, 1)))
    try workspace.lend(height * size) { strip in
      try roundRows(rows, as: type, workspace) { row, make in
        let position = row % height
        var target = strip.part(position * size..<(position + 1) * size)
        try make(&target)
        guard position + 1 == height || row + 1 == rows.count else { return }
        let first = rows.lowerBound + row - position
        try body(first..<first + position + 1, strip.bytes.part(0..<(position + 1) * size))
      }
    }
  }

  /// Calls `body` with each row, counted from 0, and what makes its numbers.
  private func roundRows(
    _ rows: Range<Int>, as type: DType, _ workspace: Workspace,
    _ body: (_ row: Int, _ make: (inout MutableRawSpan) throws -> Void) throws -> Void
  ) throws {
    let region = Region(rows: rows, columns: 0..<form.columns)
    try withParameters(of: region, workspace) { scales, offsets in
      let tables = WeightTables(form, region, as: type)
      try tables.lend(workspace) { table, floats in
        try workspace.lend(form.columns * 4) { weights in
          try forEachCodeRow(of: region, workspace) { row, codes in
            try body(row) { target in
              guard tables.areUsed else {
                let isDone = form.dequantize(
                  codes, region, row: row, scales: scales, offsets: offsets, as: type, into: &target
                )
                if isDone { return }
                form.dequantize(
                  codes, region, row: row, scales: scales, offsets: offsets, into: &weights)
                return try FloatConversion.fromFloat32(type, weights.bytes, into: &target)
              }
              if row % tables.rows == 0 {
                try tables.make(
                  from: row, scales: scales, offsets: offsets, floats: &floats, into: &table)
              }
              tables.lookUp(codes, row: row, in: table.bytes, into: &target)
            }
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
      case .integer: FloatConversion.fromUInt16(stored.bytes, into: &floats)
      case .real(let type), .added(let type):
        try FloatConversion.toFloat32(type, stored.bytes, into: &floats)
      }
    }
  }
}
