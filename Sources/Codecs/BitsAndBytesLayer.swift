import Kernels
import TensorCore

/// A 4-bit layer of bitsandbytes open for reading: a flat run of codes in blocks.
///
/// Blocks may run over the ends of rows, so the layer is handed out in groups of so many columns as
/// are sure to lie in one row and in one block; each has the maximum of its block as its scale.
struct BitsAndBytesLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  let weight: BitsAndBytesWeight
  private let table: [Float]
  private let nestedTable: [Float]

  init(_ claim: LayerClaim, _ weight: BitsAndBytesWeight) throws {
    self.claim = claim
    self.weight = weight
    table = try Self.floats(weight.map)
    nestedTable = try weight.nestedMap.map { try Self.floats($0) } ?? []
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: weight.state.kind.grid,
      grouping: .columns(size: weight.groupSize), scaleType: .f32, offset: .none)
  }

  private static func floats(_ tensor: Tensor) throws -> [Float] {
    let block = try tensor.contents()
    return (0..<tensor.shape.count).map { block.bytes.float32(at: $0) }
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnCodes(region, order, into: &codes, workspace) {
      try readRows(region, into: &$0, workspace)
    }
  }

  /// Whole rows are one run of flat codes, parts of rows a run each.
  private func readRows(
    _ region: Region, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let width = region.columns.count
    if width == claim.columns {
      let start = region.rows.lowerBound * width
      return try readRun(start..<start + region.count, into: &codes, workspace)
    }
    for (position, row) in region.rows.enumerated() {
      let start = row * claim.columns + region.columns.lowerBound
      var part = codes.part(position * width..<(position + 1) * width)
      try readRun(start..<start + width, into: &part, workspace)
    }
  }

  /// BNB-7: flat code f is in byte f / 2, the even ones in the high half.
  private func readRun(
    _ run: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try withBytes(of: run, workspace) { bytes in
      guard run.lowerBound % 2 == 1 else { return Nibbles.unpack(bytes, into: &codes) }
      workspace.lend(run.count + 1) { all in
        Nibbles.unpack(bytes, into: &all)
        codes.copy(from: all.bytes.part(1..<run.count + 1))
      }
    }
  }

  private func withBytes(
    of run: Range<Int>, _ workspace: Workspace, _ body: (RawSpan) throws -> Void
  ) throws {
    let bytes = run.lowerBound / 2..<run.upperBound.dividedRoundingUp(by: 2)
    try workspace.lend(bytes.count) { packed in
      try weight.packed.read(into: &packed, at: bytes.lowerBound)
      try body(packed.bytes)
    }
  }

  /// The block of a group of columns.
  private func block(_ row: Int, _ group: Int) -> Int {
    (row * claim.columns + group * claim.groupSize) / weight.state.blockSize
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 4) { rows in
      // Some rows at a time: of narrow regions only a few of their blocks are wanted.
      let groups = region.columns
      let step = max(1, (1 << 16) * weight.state.blockSize / claim.columns)
      for start in stride(from: region.rows.lowerBound, to: region.rows.upperBound, by: step) {
        let end = min(start + step, region.rows.upperBound)
        let blocks = block(start, groups.lowerBound)..<block(end - 1, groups.upperBound - 1) + 1
        try withMaxima(of: blocks, workspace) { maxima in
          for row in start..<end {
            let first = (row - region.rows.lowerBound) * groups.count - groups.lowerBound
            for group in groups {
              let index = block(row, group) - blocks.lowerBound
              rows.set(maxima.uint32(at: index), at: first + group)
            }
          }
        }
      }
      rows.moveRows(into: &scales, region, order, size: 4)
    }
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {}

  /// The maxima of blocks as float32; packed ones are table · maximum, rounded, + offset, rounded
  /// (BNB-10).
  func withMaxima(
    of blocks: Range<Int>, _ workspace: Workspace, _ body: (RawSpan) throws -> Void
  ) throws {
    let size = weight.absmax.dtype.bits / 8
    try workspace.lend(blocks.count * size) { stored in
      try weight.absmax.read(into: &stored, at: blocks.lowerBound * size)
      try workspace.lend(blocks.count * 4) { maxima in
        if let nested = weight.state.nested {
          try unpack(stored.bytes, nested, blocks, into: &maxima, workspace)
        } else {
          try FloatConversion.toFloat32(weight.absmax.dtype, stored.bytes, into: &maxima)
        }
        try body(maxima.bytes)
      }
    }
  }

  private func unpack(
    _ codes: RawSpan, _ nested: QuantState.Nested, _ blocks: Range<Int>,
    into maxima: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard let tensor = weight.nestedAbsmax else { return }
    let first = blocks.lowerBound / nested.blockSize
    let end = blocks.upperBound.dividedRoundingUp(by: nested.blockSize)
    try workspace.lend((end - first) * 4) { outer in
      try tensor.read(into: &outer, at: first * 4)
      for (position, block) in blocks.enumerated() {
        let scale = outer.bytes.float32(at: block / nested.blockSize - first)
        let product = nestedTable[Int(codes.uint8(at: position))] * scale
        maxima.set((product + nested.offset).bitPattern, at: position)
      }
    }
  }

  /// One pass from packed codes to numbers, without codes or float32 between.
  func readRounded(
    _ rows: Range<Int>, as type: DType, into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let run = rows.lowerBound * claim.columns..<rows.upperBound * claim.columns
    let size = weight.state.blockSize
    let blocks = run.lowerBound / size..<run.upperBound.dividedRoundingUp(by: size)
    try withMaxima(of: blocks, workspace) { maxima in
      try withBytes(of: run, workspace) { bytes in
        Nibbles.dequantize(
          bytes, table: table.rawSpan, group: size, skipped: run.lowerBound % size,
          scales: maxima, as: type, into: &values)
      }
    }
  }

  func remarks(_ workspace: Workspace) throws -> JSONObject {
    let state = weight.state
    let type = QuantState.types.first { $0.type == state.dtype }?.name
    var remarks = JSONObject([
      "quant_type": .string(state.kind.rawValue), "block_size": .integer(state.blockSize),
      "blocks": .integer(state.blockCount), "dtype": type.map(JSON.string) ?? .null,
      "quant_storage": .string(weight.packed.dtype.rawValue),
      "double_quant": .bool(state.nested != nil),
    ])
    if let nested = state.nested {
      remarks["nested_block_size"] = .integer(nested.blockSize)
      remarks["nested_offset"] = .real(Double(nested.offset))
    }
    return remarks
  }
}
