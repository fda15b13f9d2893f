public import Kernels
public import TensorCore

/// One quantized linear layer as a checkpoint stores it, open for reading in bands.
///
/// A layer knows its form; its numbers are read a region at a time, so memory depends on the
/// region and never on the layer. All methods may be called from many threads, each with its own
/// `Workspace`. Regions start on multiples of 32 rows and columns (`Region.alignment`), where the
/// packed words of every layout begin anew, and end there or at the edge.
public protocol PackedLayer: Sendable {
  /// What the headers told about the layer.
  var claim: LayerClaim { get }
  var form: QuantizedForm { get }
  /// The order in which codes lie on disk; regions read in the other one are transposed.
  var order: Order { get }
  /// Reads the codes of a region, one byte each, in `order`. Throws `io`.
  func readCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Whether `readWords` hands out words as they are stored, so that no code need be unpacked.
  var storesWords: Bool { get }
  /// Reads the codes of a region packed: for each row one little-endian bit stream of 32-bit words,
  /// `[word][row]` or `[row][word]` by `order`. The region's columns fill whole words. Throws `io`.
  func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Whether what a region shows lies scattered over what is stored, so that small regions read much more
  /// than they show.
  var isScattered: Bool { get }
  /// Words that hold the codes of eight outputs each, where the layout interleaves them.
  var interleaved: InterleavedRows? { get }
  /// Reads scales (region of rows × groups) in their stored type. Throws `io`.
  func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Reads offsets (region of rows × groups), `form.offset.byteCount` bytes each: `UInt16` for
  /// `Offset.integer`, the stored type otherwise, nothing for `Offset.none`.
  func readOffsets(
    _ region: Region, _ order: Order, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// Zero-point fields whose meaning the file does not settle (GPTQ-12). Reads all zero points.
  func countAmbiguousOffsets(_ workspace: Workspace) throws -> Int
  /// Dequantizes whole rows, from a multiple of `Region.alignment` on, to F32, F16 or BF16: each
  /// weight is that of `readWeights`, rounded once more to the type. Throws `io`.
  func readRounded(
    _ rows: Range<Int>, as type: DType, into values: inout MutableRawSpan, _ workspace: Workspace
  ) throws
  /// What the layout says of the layer besides, for people to read. Throws `io`.
  func remarks(_ workspace: Workspace) throws -> JSONObject
}

extension Region {
  /// Band boundaries are multiples of this.
  public static let alignment = 32

  /// A number of rows or columns cut down to a multiple of the alignment, at least one of it.
  static func aligned(_ count: Int) -> Int { max(count / alignment, 1) * alignment }
}

extension PackedLayer {
  public var name: String { claim.name }

  public func countAmbiguousOffsets(_ workspace: Workspace) throws -> Int { 0 }

  public func remarks(_ workspace: Workspace) throws -> JSONObject { JSONObject() }

  public var storesWords: Bool { false }

  public var isScattered: Bool { false }

  public var interleaved: InterleavedRows? { nil }

  public func readWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try packWords(region, order, into: &words, workspace)
  }

  /// Reads codes and packs them.
  func packWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count) { codes in
      try readCodes(region, order, into: &codes, workspace)
      switch order {
      case .inputMajor:
        WordRows.pack(
          bits: form.grid.bits, codes.bytes, columns: region.rows.count, into: &words)
      case .outputMajor: BitStream.pack(bits: form.grid.bits, codes.bytes, into: &words)
      }
    }
  }

  /// Fills in codes that `readRows` reads as `[row][column]`, turned where `order` asks for that.
  func turnCodes(
    _ region: Region, _ order: Order, into codes: inout MutableRawSpan, _ workspace: Workspace,
    readRows: (inout MutableRawSpan) throws -> Void
  ) throws {
    guard order == .inputMajor else { return try readRows(&codes) }
    try workspace.lend(region.count) { rows in
      try readRows(&rows)
      Transpose.bytes(
        rows.bytes, rows: region.rows.count, columns: region.columns.count, into: &codes)
    }
  }

  /// Fills in words that `readRows` reads as `[row][word]`, turned where `order` asks for that: a row
  /// of words is one stream of codes, so turning the words turns the codes.
  func turnWords(
    _ region: Region, _ order: Order, into words: inout MutableRawSpan, _ workspace: Workspace,
    readRows: (inout MutableRawSpan) throws -> Void
  ) throws {
    guard order == .inputMajor else { return try readRows(&words) }
    try workspace.lend(words.byteCount) { rows in
      try readRows(&rows)
      Transpose.words(
        rows.bytes, rows: region.rows.count, columns: region.columns.count * form.grid.bits / 32,
        into: &words)
    }
  }
}
