import Kernels
import TensorCore

/// An integer layer of compressed-tensors open for reading: codes in bands of outputs.
struct CompressedTensorsLayer: PackedLayer {
  let claim: LayerClaim
  let form: QuantizedForm
  let order = Order.outputMajor
  private let weight: CompressedWeight

  init(_ claim: LayerClaim, _ weight: CompressedWeight) throws {
    self.claim = claim
    self.weight = weight
    form = QuantizedForm(
      rows: claim.rows, columns: claim.columns, grid: .affine(bits: claim.bits),
      grouping: try Self.grouping(of: claim), scaleType: weight.scale.dtype, offset: .integer)
  }

  /// CT-7: the group index decides; one that is −1 throughout was never filled in. Reads it, 4
  /// bytes a column.
  private static func grouping(of claim: LayerClaim) throws -> Grouping {
    let inOrder = Grouping.columns(size: claim.groupSize)
    guard let index = claim.parts["weight_g_idx"] else { return inOrder }
    let block = try index.contents()
    let groups = (0..<claim.columns).map { Int32(bitPattern: block.bytes.uint32(at: $0)) }
    if groups.allSatisfy({ $0 == -1 }) { return inOrder }
    if let column = groups.firstIndex(where: { $0 < 0 || $0 >= claim.groups }) {
      throw Failure(
        .malformed, at: index.place, "a group index is out of range at column \(column)",
        expected: "0 ..< \(claim.groups)", found: "\(groups[column])", rule: "CT-7")
    }
    let isTrivial = groups.indices.allSatisfy { Int(groups[$0]) == $0 / claim.groupSize }
    return isTrivial ? inOrder : .map(groups: groups, count: claim.groups)
  }

  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try turnCodes(region, order, into: &codes, workspace) {
      try readRows(region, into: &$0, workspace)
    }
  }

  /// Rows that end within a word are not handed out as they are stored.
  var storesWords: Bool {
    weight.storage == .packed(.stream) && claim.columns * claim.bits % 32 == 0
  }

  func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard storesWords else { return try packWords(region, order, into: &words, workspace) }
    try turnWords(region, order, into: &words, workspace) { try readRowWords(region, into: &$0) }
  }

  /// Stored words of a region, `[row][word]`.
  private func readRowWords(_ region: Region, into words: inout MutableRawSpan) throws {
    let run = WordPacking.stream.words(of: region.columns, bits: claim.bits)
    try weight.codes.readRectangle(
      into: &words, rows: region.rows, rowBytes: weight.codes.shape[1] * 4,
      run: run.lowerBound * 4..<run.upperBound * 4)
  }

  /// Codes of a region, `[row][column]`.
  private func readRows(
    _ region: Region, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    switch weight.storage {
    case .bytes:
      try weight.codes.readRectangle(
        into: &codes, rows: region.rows, rowBytes: claim.columns, run: region.columns)
      // CT-8: stored signed.
      Bytes.shift(&codes, adding: 128)
    case .packed(let packing):
      let words = packing.words(of: region.columns, bits: claim.bits)
      try workspace.lend(region.rows.count * words.count * 4) { rows in
        try weight.codes.readRectangle(
          into: &rows, rows: region.rows, rowBytes: weight.codes.shape[1] * 4,
          run: words.lowerBound * 4..<words.upperBound * 4)
        packing.unpack(
          bits: claim.bits, rows.bytes, rows: region.rows.count, codes: region.columns,
          into: &codes)
      }
    }
  }

  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = form.scaleType.bits / 8
    try readParameters(of: weight.scale, size: size, region, order, into: &scales, workspace)
  }

  /// A region of a tensor with one element for each output and group, or one for all.
  private func readParameters(
    of tensor: Tensor, size: Int, _ region: Region, _ order: Order,
    into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    if tensor.shape.count == 1 {
      let value = try tensor.contents()
      for position in 0..<region.count {
        var target = values.part(position * size..<(position + 1) * size)
        target.copy(from: value.bytes)
      }
      return
    }
    try workspace.lend(region.count * size) { rectangle in
      try tensor.readRectangle(
        into: &rectangle, rows: region.rows, rowBytes: claim.groups * size,
        run: region.columns.lowerBound * size..<region.columns.upperBound * size)
      rectangle.moveRows(into: &values, region, order, size: size)
    }
  }

  /// CT-6: without stored zero points every one is the middle of the codes.
  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    guard let zeros = weight.zeros else { return offsets.fill(UInt16(1 << (claim.bits - 1))) }
    try workspace.lend(region.count) { fields in
      switch weight.storage {
      case .bytes:
        try readParameters(of: zeros, size: 1, region, order, into: &fields, workspace)
        Bytes.shift(&fields, adding: 128)
      case .packed(let packing):
        try readZeros(zeros, packing, region, order, into: &fields, workspace)
      }
      Bytes.widen(fields.bytes, into: &offsets)
    }
  }

  /// CT-6: zero points are packed down the outputs, a stream for each group.
  private func readZeros(
    _ zeros: Tensor, _ packing: WordPacking, _ region: Region, _ order: Order,
    into fields: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let words = packing.words(of: region.rows, bits: claim.bits)
    let groups = region.columns
    let stream = Region(rows: groups, columns: region.rows)
    try workspace.lend(words.count * groups.count * 4) { rows in
      try zeros.readRectangle(
        into: &rows, rows: words, rowBytes: claim.groups * 4,
        run: groups.lowerBound * 4..<groups.upperBound * 4)
      workspace.lend(rows.byteCount) { turned in
        Transpose.words(
          rows.bytes, rows: words.count, columns: groups.count, into: &turned)
        workspace.lend(region.count) { codes in
          packing.unpack(
            bits: claim.bits, turned.bytes, rows: groups.count, codes: region.rows, into: &codes)
          codes.moveRows(
            into: &fields, stream, order == .inputMajor ? .outputMajor : .inputMajor, size: 1)
        }
      }
    }
  }
}
