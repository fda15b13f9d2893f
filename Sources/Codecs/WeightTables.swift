import Kernels
import TensorCore

/// The weights that codes of up to 4 bits can stand for, 16 a group, dequantized and rounded to a type
/// of two bytes: looking codes up in them is faster than computing every weight, and gives the same.
struct WeightTables {
  private let form: QuantizedForm
  private let type: DType
  private let groups: Int
  private let size: Int
  /// Rows of a region whose tables are made at a time.
  let rows: Int

  /// None are used where there are more than 16 weights a group, or so few codes that they don't pay.
  init(_ form: QuantizedForm, _ region: Region, as type: DType) {
    self.form = form
    self.type = type
    groups = form.parameters(of: region).columns.count
    guard case .columns(let size) = form.grouping, size >= 32, type.bits == 16,
      form.factor == nil, form.grid.hasAtMost16Values, groups * 16 <= Self.codes.count
    else {
      self.size = 0
      rows = max(region.rows.count, 1)
      return
    }
    self.size = size
    rows = min(32, Self.codes.count / 16 / groups)
  }

  /// 0 … 15, again and again.
  private static let codes = (0..<1 << 16).map { UInt8($0 & 15) }

  var areUsed: Bool { size > 0 }

  private var entries: Int { areUsed ? rows * groups * 16 : 0 }

  func lend(
    _ workspace: Workspace,
    _ body: (_ table: inout MutableRawSpan, _ floats: inout MutableRawSpan) throws -> Void
  ) throws {
    try workspace.lend(entries * 2) { table in
      try workspace.lend(entries * 4) { floats in try body(&table, &floats) }
    }
  }

  /// Makes the tables of the rows from `row` on, with room for their float32 values in `floats`.
  func make(
    from row: Int, scales: RawSpan, offsets: RawSpan, floats: inout MutableRawSpan,
    into table: inout MutableRawSpan
  ) throws {
    let last = min(row + rows, scales.byteCount / 4 / groups)
    let count = (last - row) * groups
    let picked = row * groups * 4..<last * groups * 4
    let codes = Self.codes.rawSpan.part(0..<count * 16)
    let scales = scales.part(picked)
    let offsets = offsets.isEmpty ? offsets : offsets.part(picked)
    var halves = table.part(0..<count * 32)
    let isDone = form.dequantize(
      codes, group: 16, scales: scales, offsets: offsets, as: type, into: &halves)
    if isDone { return }
    var weights = floats.part(0..<count * 64)
    form.dequantize(codes, group: 16, scales: scales, offsets: offsets, into: &weights)
    try FloatConversion.fromFloat32(type, weights.bytes, into: &halves)
  }

  /// The weights of one row of codes.
  func lookUp(
    _ codes: RawSpan, row: Int, in table: RawSpan, into halves: inout MutableRawSpan
  ) {
    let start = row % rows * groups * 32
    Dequantize.lookup(
      codes, tables: table.part(start..<start + groups * 32), group: size, into: &halves)
  }
}

extension Grid {
  fileprivate var hasAtMost16Values: Bool {
    switch self {
    case .affine(let bits): bits <= 4
    case .table(_, let values): values.count == 16
    }
  }
}
