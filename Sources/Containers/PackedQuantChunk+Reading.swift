internal import Kernels
internal import TensorCore

/// What can be wrong with the bytes of a chunk.
enum PackedChunkError: Error {
  case checksum(expected: UInt64, found: UInt64)
  case padding
  case frame(found: Int?, expected: Int)
  case content

  func failure(at place: String) -> Failure {
    switch self {
    case .checksum(let expected, let found):
      PackedQuant.failure(
        "the checksum", at: place, expected: String(expected, radix: 16),
        found: String(found, radix: 16), 23, remedy: "copy or fetch the container again")
    case .padding: PackedQuant.failure("bytes of padding are not zero", at: place, 24)
    case .frame(let found, let expected):
      PackedQuant.failure(
        "no zstd frame that fits", at: place, expected: "\(expected) bytes of content",
        found: found.map { "\($0)" } ?? "none", 25)
    case .content: PackedQuant.failure("a zstd frame does not expand", at: place, 26)
    }
  }
}

extension PackedQuantDirectory.Chunk {
  /// Checks a region and restores its chunk. O(bytes). Traps where `bytes` has another size than
  /// the directory has told.
  func expand(
    _ bytes: RawSpan, _ transform: PackedTransform, into chunk: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws(PackedChunkError) {
    let found = XXH64.hash(bytes)
    guard found == checksum else { throw .checksum(expected: checksum, found: found) }
    try checkPadding(bytes)
    let length = transform.streamBytes(of: chunk.byteCount)
    if transform == .bytes { return try restore(0, of: bytes, into: &chunk) }
    if case .planes(2, let turned) = transform, pieces[0].encoding == .raw {
      // The plane that is noise is used where it lies.
      let start = begin(of: 0) - region.lowerBound
      return try lending(length, workspace) { high throws(PackedChunkError) in
        try restore(1, of: bytes, into: &high)
        Planes.merge(
          low: bytes.part(start..<start + length), high: high.bytes, turned: turned, into: &chunk)
      }
    }
    try lending(length * pieces.count, workspace) { streams throws(PackedChunkError) in
      for index in pieces.indices {
        var stream = streams.part(index * length..<(index + 1) * length)
        try restore(index, of: bytes, into: &stream)
      }
      transform.merge(streams.bytes, into: &chunk, workspace)
    }
  }

  /// `Workspace.lend` with the errors of chunks.
  private func lending(
    _ count: Int, _ workspace: Workspace,
    _ body: (inout MutableRawSpan) throws(PackedChunkError) -> Void
  ) throws(PackedChunkError) {
    var failure: PackedChunkError?
    workspace.lend(count) { bytes in
      do throws(PackedChunkError) { try body(&bytes) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Where a piece begins in the container.
  private func begin(of piece: Int) -> Int {
    var position = region.lowerBound
    for index in 0..<piece {
      position = pieces[index].end(from: position, of: pieces.count) ?? position
    }
    return pieces[piece].start(from: position, of: pieces.count) ?? position
  }

  private func checkPadding(_ bytes: RawSpan) throws(PackedChunkError) {
    var position = region.lowerBound
    for piece in pieces {
      let start = piece.start(from: position, of: pieces.count) ?? position
      let padding = bytes.part(position - region.lowerBound..<start - region.lowerBound)
      guard Bytes.allEqual(padding, to: 0) else { throw .padding }
      position = piece.end(from: position, of: pieces.count) ?? position
    }
  }

  private func restore(
    _ index: Int, of bytes: RawSpan, into stream: inout MutableRawSpan
  ) throws(PackedChunkError) {
    let start = begin(of: index) - region.lowerBound
    let stored = bytes.part(start..<start + pieces[index].stored)
    switch pieces[index].encoding {
    case .raw: stream.copy(from: stored)
    case .constant: Bytes.fill(&stream, with: stored.uint8(at: 0))
    case .zstd:
      let size = Zstd.contentSize(stored)
      guard size == stream.byteCount else {
        throw .frame(found: size, expected: stream.byteCount)
      }
      guard Zstd.expand(stored, into: &stream) else { throw .content }
    }
  }
}
