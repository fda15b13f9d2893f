internal import Kernels
internal import Synchronization
internal import TensorCore

/// Memory for chunks on their way into a container, used again and again.
final class StoredChunkPool: Sendable {
  /// One block, owned by one chunk at a time.
  final class Block: @unchecked Sendable {
    var bytes: AlignedBytes
    init(count: Int) { bytes = AlignedBytes(count: count) }
  }

  private let idle = Mutex<[Block]>([])

  func take(_ count: Int) -> Block {
    let block = idle.withLock { $0.popLast() }
    return block.flatMap { $0.bytes.count >= count ? $0 : nil } ?? Block(count: count)
  }

  func put(_ block: Block) { idle.withLock { $0.append(block) } }
}

/// A chunk on its way into a container: what its pieces are, before it is known where they go.
final class StoredChunk: Sendable {
  let pieces: [PackedQuantDirectory.Piece]
  let digest: [UInt8]
  /// The pieces without padding, one behind the other.
  private let block: StoredChunkPool.Block
  private let pool: StoredChunkPool

  /// Takes `chunk` apart and stores its streams. O(bytes).
  init(
    _ chunk: RawSpan, _ transform: PackedTransform, _ coder: PackedQuantPieces,
    _ pool: StoredChunkPool, _ workspace: Workspace
  ) {
    let length = transform.streamBytes(of: chunk.byteCount)
    let streams = transform.streams
    let block = pool.take((streams - 1) * length + Zstd.bound(length))
    var pieces: [PackedQuantDirectory.Piece] = []
    var end = 0
    workspace.lend(streams * length) { apart in
      transform.split(chunk, into: &apart, workspace)
      block.bytes.withMutableBytes(count: block.bytes.count) { target in
        for stream in 0..<streams {
          var room = target.part(end..<target.byteCount)
          let bytes = apart.bytes.part(stream * length..<(stream + 1) * length)
          let piece = coder.store(bytes, into: &room)
          pieces.append(piece)
          end += piece.stored
        }
      }
    }
    self.pieces = pieces
    digest = PackedQuantDigest.chunk(chunk)
    (self.block, self.pool) = (block, pool)
  }

  deinit {
    pool.put(block)
  }

  /// The bytes of the region that begins at `start`.
  func end(from start: Int) -> Int {
    pieces.reduce(start) { $1.end(from: $0, of: pieces.count) ?? .max }
  }

  /// Lends the region that begins at `start`, padding included.
  func withRegion<Result>(
    from start: Int, _ workspace: Workspace, _ body: (RawSpan) throws -> Result
  ) rethrows -> Result {
    let size = end(from: start) - start
    return try workspace.lend(size) { region in
      var (from, to) = (0, start)
      for piece in pieces {
        let begin = piece.start(from: to, of: pieces.count) ?? to
        for padding in to..<begin { region.set(UInt8(0), at: padding - start) }
        var part = region.part(begin - start..<begin - start + piece.stored)
        block.bytes.withBytes { part.copy(from: $0.part(from..<from + piece.stored)) }
        from += piece.stored
        to = begin + piece.stored
      }
      return try body(region.bytes)
    }
  }
}
