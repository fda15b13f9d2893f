internal import Kernels
internal import TensorCore

/// A chunk on its way into a container: what its pieces are, before it is known where they go.
final class StoredChunk: @unchecked Sendable {
  let pieces: [PackedQuantDirectory.Piece]
  let digest: [UInt8]
  /// The pieces without padding, one behind the other.
  private let bytes: AlignedBytes
  private let count: Int

  /// Takes `chunk` apart and stores its streams. O(bytes).
  init(
    _ chunk: RawSpan, _ transform: PackedTransform, _ coder: PackedQuantPieces,
    _ workspace: Workspace
  ) {
    let length = transform.streamBytes(of: chunk.byteCount)
    let streams = transform.streams
    var stored = AlignedBytes(count: (streams - 1) * length + Zstd.bound(length) + length)
    var pieces: [PackedQuantDirectory.Piece] = []
    var end = 0
    workspace.lend(streams * length) { apart in
      transform.split(chunk, into: &apart, workspace)
      var target = stored.mutableBytes
      for stream in 0..<streams {
        var room = target.part(end..<target.byteCount)
        let piece = coder.store(apart.bytes.part(stream * length..<(stream + 1) * length), into: &room)
        pieces.append(piece)
        end += piece.stored
      }
    }
    self.pieces = pieces
    digest = PackedQuantDigest.chunk(chunk)
    bytes = stored
    count = end
  }

  /// The bytes of the region that begins at `start`.
  func end(from start: Int) -> Int {
    pieces.reduce(start) { $1.end(from: $0) ?? .max }
  }

  /// Lends the region that begins at `start`, padding included.
  func withRegion<Result>(
    from start: Int, _ workspace: Workspace, _ body: (RawSpan) throws -> Result
  ) rethrows -> Result {
    let size = end(from: start) - start
    return try workspace.lend(size) { region in
      var (from, to) = (0, start)
      for piece in pieces {
        let begin = piece.start(from: to) ?? to
        for padding in to..<begin { region.set(UInt8(0), at: padding - start) }
        var part = region.part(begin - start..<begin - start + piece.stored)
        bytes.withBytes { part.copy(from: $0.part(from..<from + piece.stored)) }
        from += piece.stored
        to = begin + piece.stored
      }
      return try body(region.bytes)
    }
  }
}
