import Checkpoints

/// A layer of random codes in memory, in either order: whole zero points, F16 scales, groups of neighbours.
struct DrawnLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order: Order
  private let codes: HeldBytes
  /// One scale and one zero point for each group of each row, all the same.
  private let scales, zeros: HeldBytes

  init(rows: Int, columns: Int, bits: Int, groupSize: Int, order: Order) {
    self.order = order
    claim = LayerClaim(
      name: "model.layers.0.mlp.up_proj", layout: "drawn", rows: rows, columns: columns, bits: bits,
      groupSize: groupSize, parts: [:])
    form = QuantizedForm(
      rows: rows, columns: columns, grid: .affine(bits: bits), grouping: .columns(size: groupSize),
      scaleType: .f16, offset: .integer)
    var random = RandomBytes()
    let mask = UInt8(1 << bits - 1)
    codes = HeldBytes(
      bytes: (0..<rows * columns).map { _ in UInt8(truncatingIfNeeded: random.next()) & mask })
    scales = Self.repeated(0x2000, count: rows * form.groups)
    zeros = Self.repeated(UInt16(1 << (bits - 1)), count: rows * form.groups)
  }

  private static func repeated(_ value: UInt16, count: Int) -> HeldBytes {
    let bytes = [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)]
    return HeldBytes(bytes: (0..<count * 2).map { bytes[$0 % 2] })
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    precondition(order == self.order, "layers are packed in the order in which they were drawn")
    let isRows = order == .outputMajor
    let lines = isRows ? region.rows : region.columns
    let run = isRows ? region.columns : region.rows
    let width = isRows ? form.columns : form.rows
    guard run.count < width else {
      return try self.codes.read(into: &codes, at: lines.lowerBound * width)
    }
    for (position, line) in lines.enumerated() {
      var part = codes.part(position * run.count..<(position + 1) * run.count)
      try self.codes.read(into: &part, at: line * width + run.lowerBound)
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try self.scales.read(into: &scales, at: 0)
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try zeros.read(into: &offsets, at: 0)
  }
}

/// Bytes in memory that tensors read from.
struct HeldBytes: ByteSource {
  let path = "memory"
  let bytes: [UInt8]

  var size: Int { bytes.count }

  func read(into span: inout MutableRawSpan, at offset: Int) throws {
    span.copy(from: bytes.rawSpan.part(offset..<offset + span.byteCount))
  }
}
