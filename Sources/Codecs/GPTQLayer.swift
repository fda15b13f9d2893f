import Kernels
import TensorCore

/// A GPTQ layer open for reading: codes in bands of word rows.
struct GPTQLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.inputMajor
  private let zeroRule: ZeroRule
  private let isSettled: Bool
  private let qweight: Tensor
  private let qzeros: Tensor
  private let scales: Tensor

  init(_ claim: LayerClaim, zeroRule: ZeroRule, isSettled: Bool) throws {
    self.claim = claim
    self.zeroRule = zeroRule
    self.isSettled = isSettled
    qweight = try claim.part("qweight")
    qzeros = try claim.part("qzeros")
    scales = try claim.part("scales")
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: .affine(bits: claim.bits),
      grouping: try Self.grouping(of: claim), scaleType: scales.dtype, offset: .integer)
  }

  /// GPTQ-5: the group index decides, whatever `desc_act` says. Reads `g_idx`, 4 bytes a column.
  private static func grouping(of claim: LayerClaim) throws -> Grouping {
    guard let index = claim.parts["g_idx"] else { return .columns(size: claim.groupSize) }
    let block = try index.contents()
    let bytes = block.bytes
    var groups: [Int32] = []
    groups.reserveCapacity(claim.columns)
    var isTrivial = true
    for column in 0..<claim.columns {
      let group = Int32(bitPattern: bytes.uint32(at: column))
      guard group >= 0 && group < claim.groups else {
        throw Failure(
          .malformed, at: index.place, "a group index is out of range at column \(column)",
          expected: "0 ..< \(claim.groups)", found: "\(group)", rule: "GPTQ-6")
      }
      isTrivial = isTrivial && Int(group) == column / claim.groupSize
      groups.append(group)
    }
    return isTrivial
      ? .columns(size: claim.groupSize) : .map(groups: groups, count: claim.groups)
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let bits = claim.bits
    try workspace.lend(region.columns.count * bits / 32 * region.rows.count * 4) { words in
      try readWords(region, order, into: &words, workspace)
      switch order {
      case .inputMajor:
        WordRows.unpack(bits: bits, words.bytes, columns: region.rows.count, into: &codes)
      case .outputMajor: BitStream.unpack(bits: bits, words.bytes, into: &codes)
      }
    }
  }

  var storesWords: Bool { true }

  func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let bits = claim.bits
    let rows = region.columns.lowerBound * bits / 32..<region.columns.upperBound * bits / 32
    let run = region.rows.lowerBound * 4..<region.rows.upperBound * 4
    guard order == .outputMajor else {
      return try qweight.readRectangle(into: &words, rows: rows, rowBytes: claim.rows * 4, run: run)
    }
    // A column of words is one stream of codes, so turning the words turns the codes.
    try workspace.lend(words.byteCount) { stored in
      try qweight.readRectangle(into: &stored, rows: rows, rowBytes: claim.rows * 4, run: run)
      Transpose.words(
        stored.bytes, rows: rows.count, columns: region.rows.count, into: &words)
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try self.scales.readGroupRows(region, order, columns: claim.rows, into: &scales, workspace)
  }

  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 2) { zeros in
      try readZeros(region, into: &zeros, workspace)
      zeros.move(into: &offsets, region, order)
    }
  }

  /// Zero points of a region, `[group][row]`, 16 bits each.
  private func readZeros(
    _ region: Region, into zeros: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let mask = UInt16(1 << claim.bits - 1)
    try readFields(region, addingWordConstant: zeroRule == .word, workspace) { fields in
      switch zeroRule {
      case .stored, .word: Bytes.widen(fields, into: &zeros)
      case .mask: Bytes.widen(fields, adding: 1, mask: mask, into: &zeros)
      case .carry: Bytes.widen(fields, adding: 1, into: &zeros)
      }
    }
  }

  private func readFields(
    _ region: Region, addingWordConstant: Bool, _ workspace: Workspace,
    _ body: (RawSpan) throws -> Void
  ) throws {
    let bits = claim.bits
    let run = region.rows.lowerBound * bits / 8..<region.rows.upperBound * bits / 8
    try workspace.lend(region.columns.count * run.count) { words in
      try qzeros.readRectangle(
        into: &words, rows: region.columns, rowBytes: claim.rows * bits / 8, run: run)
      if addingWordConstant {
        words.addToWords(Self.wordConstant(bits: bits), wordBits: wordBits)
      }
      try workspace.lend(region.count) { fields in
        BitStream.unpack(bits: bits, words.bytes, into: &fields)
        try body(fields.bytes)
      }
    }
  }

  private var wordBits: Int { NarrowWords.width(of: qzeros.dtype) ?? 32 }

  /// A word with 1 in each of its fields of 2, 4 or 8 bits.
  static func wordConstant(bits: Int) -> UInt32 {
    UInt32.max / UInt32(1 << bits - 1)
  }

  func countAmbiguousOffsets(_ workspace: Workspace) throws -> Int {
    guard !isSettled else { return 0 }
    let full = UInt8(1 << claim.bits - 1)
    var count = 0
    let step = max(1, (1 << 20) / claim.rows)
    for start in stride(from: 0, to: claim.groups, by: step) {
      let groups = start..<min(start + step, claim.groups)
      let region = Region(rows: 0..<claim.rows, columns: groups)
      try readFields(region, addingWordConstant: false, workspace) { fields in
        for position in 0..<fields.byteCount where fields.uint8(at: position) == full {
          count += 1
        }
      }
    }
    return count
  }
}
