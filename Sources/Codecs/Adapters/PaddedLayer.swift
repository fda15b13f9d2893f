public import Kernels
internal import TensorCore

/// A layer with more outputs or inputs than it was stored with, all of whose new weights are zero.
///
/// New columns come in whole groups of their own: scale 1, zero point in the middle, and the code
/// that stands for 0. Nothing that was stored changes.
public struct PaddedLayer: PackedLayer {
  public let base: any PackedLayer
  public let form: QuantizedForm
  private let code: UInt32
  private let scale: UInt32

  /// nil where a group would have to grow, where no code stands for 0, or where the scales' type has
  /// no 1 here.
  public init?(_ base: any PackedLayer, rows: Int, columns: Int) {
    guard rows >= base.form.rows, columns >= base.form.columns,
      let grouping = Self.grouping(of: base, columns: columns),
      let code = Self.zeroCode(of: base.form), let scale = Self.one(base.form.scaleType)
    else { return nil }
    var form = base.form
    form.rows = rows
    form.columns = columns
    form.grouping = grouping
    self.base = base
    self.form = form
    self.code = code
    self.scale = scale
  }

  private static func grouping(of base: any PackedLayer, columns: Int) -> Grouping? {
    let added = columns - base.form.columns
    guard added > 0 else { return base.form.grouping }
    switch base.form.grouping {
    case .columns(let size):
      guard base.form.groups > 1, base.form.columns % size == 0, added % size == 0 else {
        return nil
      }
      return .columns(size: size)
    case .map(let groups, let count):
      let size = base.claim.groupSize
      let new = (0..<added).map { Int32(count + $0 / size) }
      return .map(groups: groups + new, count: count + added.dividedRoundingUp(by: size))
    }
  }

  private static func zeroCode(of form: QuantizedForm) -> UInt32? {
    switch (form.grid, form.offset) {
    case (.affine(let bits), .integer): 1 << UInt32(bits - 1)
    case (.affine, .added), (.affine, .real): 0
    case (.table(_, let values), .none): values.firstIndex(of: 0).map { UInt32($0) }
    default: nil
    }
  }

  private static func one(_ type: DType) -> UInt32? {
    switch type {
    case .f16: 0x3C00
    case .bf16: 0x3F80
    case .f32: Float(1).bitPattern
    default: nil
    }
  }

  public var claim: LayerClaim { base.claim }
  public var order: Order { base.order }
  public var isScattered: Bool { base.isScattered }
  /// Outputs and inputs that were added.
  public var addedRows: Int { form.rows - base.form.rows }
  public var addedColumns: Int { form.columns - base.form.columns }

  public func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try read(
      region, order, columns: base.form.columns, fill: (code, 1), into: &codes, workspace
    ) { try base.readCodes($0, order, into: &$1, workspace) }
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try read(
      region, order, columns: base.form.groups, fill: (scale, form.scaleType.bits / 8),
      into: &scales, workspace
    ) { try base.readScales($0, order, into: &$1, workspace) }
  }

  public func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try read(
      region, order, columns: base.form.groups, fill: (code, form.offset.byteCount),
      into: &offsets, workspace
    ) { try base.readOffsets($0, order, into: &$1, workspace) }
  }

  public func countAmbiguousOffsets(_ workspace: Workspace) throws -> Int {
    try base.countAmbiguousOffsets(workspace)
  }

  /// Fills a region of elements of `fill.size` bytes with a value, and what lies inside of the base
  /// with what `readBase` reads. A code that stands for 0 is its own whole zero point, and 0 for
  /// other offsets.
  private func read(
    _ region: Region, _ order: Order, columns: Int, fill: (value: UInt32, size: Int),
    into target: inout MutableRawSpan, _ workspace: Workspace,
    _ readBase: (Region, inout MutableRawSpan) throws -> Void
  ) throws {
    let inner = Region(
      rows: region.rows.clamped(to: 0..<base.form.rows),
      columns: region.columns.clamped(to: 0..<columns))
    if inner == region { return try readBase(region, &target) }
    target.fill(with: fill.value, size: fill.size)
    guard inner.count > 0 else { return }
    try workspace.lend(inner.count * fill.size) { bytes in
      try readBase(inner, &bytes)
      let (count, width, stride) =
        switch order {
        case .inputMajor: (inner.columns.count, inner.rows.count, region.rows.count)
        case .outputMajor: (inner.rows.count, inner.columns.count, region.columns.count)
        }
      let run = width * fill.size
      for line in 0..<count {
        let start = line * stride * fill.size
        var part = target.part(start..<start + run)
        part.copy(from: bytes.bytes.part(line * run..<(line + 1) * run))
      }
    }
  }
}

extension MutableRawSpan {
  /// Repeats a value of 1, 2 or 4 bytes.
  fileprivate mutating func fill(with value: UInt32, size: Int) {
    for index in 0..<byteCount / max(size, 1) {
      switch size {
      case 1: set(UInt8(truncatingIfNeeded: value), at: index)
      case 2: set(UInt16(truncatingIfNeeded: value), at: index)
      default: set(value, at: index)
      }
    }
  }
}
