internal import Kernels
internal import TensorCore

extension PackedTransform {
  /// Takes a chunk of whole units apart: its streams one behind the other. O(bytes).
  func split(
    _ chunk: RawSpan, into streams: inout MutableRawSpan, _ workspace: Workspace
  ) {
    switch self {
    case .bytes: streams.copy(from: chunk)
    case .planes(let width, let turned):
      Planes.split(chunk, width: width, turned: turned, into: &streams)
    case .differences(let width):
      workspace.lend(chunk.byteCount) { differences in
        Self.subtract(chunk, width, into: &differences)
        Planes.split(differences.bytes, width: width, turned: false, into: &streams)
      }
    case .codes(let bits, let order):
      workspace.lend(Self.codes(in: chunk.byteCount, bits)) { codes in
        Self.unpack(chunk, bits, order, into: &codes)
        CodeBytes.pack(bits: bits, codes.bytes, into: &streams)
      }
    }
  }

  /// Puts streams, one behind the other, together again. O(bytes).
  func merge(_ streams: RawSpan, into chunk: inout MutableRawSpan, _ workspace: Workspace) {
    switch self {
    case .bytes: chunk.copy(from: streams)
    case .planes(let width, let turned):
      Planes.merge(streams, width: width, turned: turned, into: &chunk)
    case .differences(let width):
      Planes.merge(streams, width: width, turned: false, into: &chunk)
      Self.addUp(&chunk, width)
    case .codes(let bits, let order):
      workspace.lend(Self.codes(in: chunk.byteCount, bits)) { codes in
        CodeBytes.unpack(bits: bits, streams, into: &codes)
        Self.pack(codes.bytes, bits, order, into: &chunk)
      }
    }
  }

  private static func unpack(
    _ words: RawSpan, _ bits: Int, _ order: CodeOrder, into codes: inout MutableRawSpan
  ) {
    switch order {
    case .along: BitStream.unpack(bits: bits, words, into: &codes)
    case .down(let columns): WordRows.unpack(bits: bits, words, columns: columns, into: &codes)
    case .interleaved: InterleavedWords.unpack(words, into: &codes)
    }
  }

  private static func pack(
    _ codes: RawSpan, _ bits: Int, _ order: CodeOrder, into words: inout MutableRawSpan
  ) {
    switch order {
    case .along: BitStream.pack(bits: bits, codes, into: &words)
    case .down(let columns): WordRows.pack(bits: bits, codes, columns: columns, into: &words)
    case .interleaved: InterleavedWords.pack(codes, into: &words)
    }
  }

  private static func subtract(_ values: RawSpan, _ width: Int, into target: inout MutableRawSpan) {
    let words = width / 4
    var last: UInt64 = 0
    for index in 0..<values.byteCount / width {
      let value = element(values, index, words)
      set(&target, index, words, value &- last)
      last = value
    }
  }

  private static func addUp(_ values: inout MutableRawSpan, _ width: Int) {
    let words = width / 4
    var last: UInt64 = 0
    for index in 0..<values.byteCount / width {
      last &+= element(values.bytes, index, words)
      set(&values, index, words, last)
    }
  }

  private static func element(_ values: RawSpan, _ index: Int, _ words: Int) -> UInt64 {
    words == 1
      ? UInt64(values.uint32(at: index))
      : UInt64(values.uint32(at: 2 * index)) | UInt64(values.uint32(at: 2 * index + 1)) << 32
  }

  private static func set(
    _ target: inout MutableRawSpan, _ index: Int, _ words: Int, _ value: UInt64
  ) {
    target.set(UInt32(truncatingIfNeeded: value), at: words * index)
    if words == 2 { target.set(UInt32(truncatingIfNeeded: value >> 32), at: 2 * index + 1) }
  }
}
