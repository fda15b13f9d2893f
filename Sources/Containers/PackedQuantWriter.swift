public import Kernels
internal import Synchronization
public import TensorCore

/// Writes a container: chunks are stored on all threads and written in their order, so that the
/// bytes do not depend on how many there are. Memory: a few chunks for each thread.
public struct PackedQuantWriter: Sendable {
  /// Called with bytes taken in so far and in all, from any thread.
  public typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

  private struct Task: Sendable {
    let file: Int
    let blob: Int
    let range: Range<Int>
  }

  /// Sorted by path.
  private let sources: [PackedQuantSource]
  private let layers: [PackedQuantDirectory.Layer]
  private let writer: String
  private let coder: PackedQuantPieces
  private let threads: Int
  private let pool = StoredChunkPool()

  /// Throws `cannotRepresent` where a path or a name is not fit for a container, `usage` where the
  /// level is none.
  public init(
    _ sources: [PackedQuantSource], layers: [PackedQuantDirectory.Layer] = [], writer: String,
    level: Int = 3, threads: Int = Processor.cores
  ) throws {
    guard Zstd.levels.contains(level) else {
      throw Failure(
        .usage, at: "", "the level of compression",
        expected: "\(Zstd.levels.lowerBound) … \(Zstd.levels.upperBound)", found: "\(level)")
    }
    self.sources = sources.sorted { $0.path.precedesBytewise($1.path) }
    self.layers = layers.sorted { $0.name.precedesBytewise($1.name) }
    self.writer = writer
    coder = PackedQuantPieces(level: level)
    self.threads = threads
    try PackedQuantWritable.check(self.sources)
  }

  /// Bytes of all files.
  public var byteCount: Int { sources.reduce(0) { $0 + $1.source.size } }

  /// Writes everything but the name: `commit` of `file` is left to the caller. Without a file only
  /// counts. Returns the directory and the size of the container. Throws `io`.
  public func write(
    to file: OutputFile?, progress: Progress? = nil
  ) throws -> (directory: PackedQuantDirectory, byteCount: Int) {
    let tasks = tasks
    let sequence = ChunkSequence(count: tasks.count, start: PackedQuant.headerBytes)
    let done = Atomic(0)
    let total = byteCount
    try file?.write(PackedQuantFrame.header, at: 0)
    try parallelBands(tasks.count, threads: threads) { index, workspace in
      let range = tasks[index].range
      do {
        let chunk = try stored(tasks[index], workspace)
        try sequence.add(chunk, at: index, to: file, workspace)
      } catch {
        sequence.stop()
        throw error
      }
      let sum = done.wrappingAdd(range.count, ordering: .relaxed).newValue
      progress?(sum, total)
    }
    let directory = try directory(tasks, sequence.results)
    let tail = PackedQuantFrame.tail(of: directory, at: sequence.end)
    try file?.write(tail, at: sequence.end)
    return (directory, sequence.end + tail.count)
  }

  private func stored(_ task: Task, _ workspace: Workspace) throws -> StoredChunk {
    let source = sources[task.file]
    return try workspace.lend(task.range.count) { bytes in
      try source.source.read(into: &bytes, at: task.range.lowerBound)
      return StoredChunk(bytes.bytes, source.blobs[task.blob].transform, coder, pool, workspace)
    }
  }

  /// Every chunk in the order of the container.
  private var tasks: [Task] {
    sources.indices.flatMap { file in
      sources[file].blobs.indices.flatMap { blob -> [Task] in
        let source = sources[file].blobs[blob]
        return stride(
          from: source.range.lowerBound, to: source.range.upperBound, by: source.chunkBytes
        ).map {
          Task(
            file: file, blob: blob,
            range: $0..<min($0 + source.chunkBytes, source.range.upperBound))
        }
      }
    }
  }

  private func directory(
    _ tasks: [Task], _ results: [ChunkSequence.Result]
  ) throws -> PackedQuantDirectory {
    var next = 0
    var position = PackedQuant.headerBytes
    let files = sources.map { source in
      let blobs = source.blobs.map { blob in
        let mine = results[next..<next + blob.chunks]
        next += blob.chunks
        let result = PackedQuantDirectory.Blob(
          tensor: blob.tensor, byteCount: blob.range.count, transform: blob.transform,
          chunkBytes: blob.chunkBytes,
          digest: PackedQuantDigest.blob(
            byteCount: blob.range.count, chunkBytes: blob.chunkBytes, mine.map(\.digest)),
          chunks: mine.map(\.chunk), offset: position)
        position = mine.last?.chunk.region.upperBound ?? position
        return result
      }
      return PackedQuantDirectory.File(
        path: source.path, byteCount: source.source.size,
        digest: PackedQuantDigest.file(byteCount: source.source.size, blobs.map(\.digest)),
        blobs: blobs)
    }
    return PackedQuantDirectory(
      writer: "\(writer), zstd \(Zstd.version)", files: files, layers: layers)
  }
}
