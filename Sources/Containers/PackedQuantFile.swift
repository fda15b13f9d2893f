public import Kernels
internal import Synchronization
public import TensorCore

/// An opened container: its directory, and its chunks expanded on demand by any number of threads.
public final class PackedQuantFile: Sendable {
  /// A chunk that was expanded for a part of it.
  private final class Expanded: @unchecked Sendable {
    let key: Key
    let bytes: AlignedBytes

    init(_ key: Key, _ bytes: consuming AlignedBytes) {
      self.key = key
      self.bytes = bytes
    }

    func copy(_ range: Range<Int>, into part: inout MutableRawSpan) {
      bytes.withBytes { part.copy(from: $0.part(range)) }
    }
  }

  struct Key: Hashable {
    let file: Int
    let blob: Int
    let chunk: Int
  }

  /// Bytes of expanded chunks that are kept for the next reading.
  private static let keptBytes = 32 << 20

  public let source: any ByteSource
  public let directory: PackedQuantDirectory
  /// Where the directory begins.
  public let directoryOffset: Int
  /// Where each blob begins in its file.
  let starts: [[Int]]
  /// Expanded chunks, the one used last at the end.
  private let kept = Mutex<[Expanded]>([])
  private let workspaces = Mutex<[Workspace]>([])

  /// Opens `path`; reads header, footer and directory. O(directory). Throws `malformed` or
  /// `unsupported` with a PQ rule, `io`.
  public convenience init(path: String) throws {
    try self.init(InputFile(path: path))
  }

  public init(_ source: any ByteSource) throws {
    self.source = source
    (directory, directoryOffset) = try PackedQuantFrame.directory(of: source)
    starts = directory.files.map { file in
      var start = 0
      return file.blobs.map { blob in
        defer { start += blob.byteCount }
        return start
      }
    }
  }

  public var path: String { source.path }
  public var byteCount: Int { source.size }

  /// Fills `bytes` with what stands in a file from `offset`. Whole chunks are expanded straight into
  /// it, parts of one by way of a chunk that is kept. Throws `malformed` with a PQ rule, `io`.
  func read(into bytes: inout MutableRawSpan, file: Int, at offset: Int) throws {
    let blobs = directory.files[file].blobs
    var done = 0
    var blob = starts[file].lastPosition(notAbove: offset)
    while done < bytes.byteCount {
      let inBlob = offset + done - starts[file][blob]
      guard inBlob < blobs[blob].byteCount else {
        blob += 1
        continue
      }
      let key = Key(file: file, blob: blob, chunk: inBlob / blobs[blob].chunkBytes)
      let range = blobs[blob].range(of: key.chunk)
      let count = min(range.upperBound - inBlob, bytes.byteCount - done)
      var part = bytes.part(done..<done + count)
      if count == range.count {
        try withWorkspace { try expand(key, into: &part, $0) }
      } else {
        let chunk = try expanded(key)
        let from = inBlob - range.lowerBound
        chunk.copy(from..<from + count, into: &part)
      }
      done += count
    }
  }

  /// Fills `bytes` with a whole blob, such as a tensor, on several threads: every chunk straight to
  /// its place. Throws `malformed` with a PQ rule, `io`. Traps where `bytes` has another size.
  public func read(
    into bytes: inout MutableRawSpan, file: Int, blob: Int, threads: Int = Processor.cores
  ) throws {
    let entry = directory.files[file].blobs[blob]
    precondition(bytes.byteCount == entry.byteCount)
    try parallelFor(partsOf: &bytes, size: entry.chunkBytes, threads: threads) { chunk, part in
      try withWorkspace { try expand(Key(file: file, blob: blob, chunk: chunk), into: &part, $0) }
    }
  }

  private func expanded(_ key: Key) throws -> Expanded {
    let found = kept.withLock { kept -> Expanded? in
      guard let position = kept.lastIndex(where: { $0.key == key }) else { return nil }
      let chunk = kept.remove(at: position)
      kept.append(chunk)
      return chunk
    }
    if let found { return found }
    let blob = directory.files[key.file].blobs[key.blob]
    var block = AlignedBytes(count: blob.range(of: key.chunk).count)
    try withWorkspace { workspace in
      var span = block.mutableBytes
      try expand(key, into: &span, workspace)
    }
    let made = Expanded(key, block)
    kept.withLock { kept in
      kept.append(made)
      var sum = kept.reduce(0) { $0 + $1.bytes.count }
      while sum > Self.keptBytes && kept.count > 1 { sum -= kept.removeFirst().bytes.count }
    }
    return made
  }

  private func withWorkspace<Result>(_ body: (Workspace) throws -> Result) rethrows -> Result {
    let workspace = workspaces.withLock { $0.popLast() } ?? Workspace()
    defer { workspaces.withLock { $0.append(workspace) } }
    return try body(workspace)
  }

  /// Reads, checks and expands one chunk. O(chunk).
  func expand(_ key: Key, into bytes: inout MutableRawSpan, _ workspace: Workspace) throws {
    let blob = directory.files[key.file].blobs[key.blob]
    let chunk = blob.chunks[key.chunk]
    try workspace.lend(chunk.region.count) { region in
      try source.read(into: &region, at: chunk.region.lowerBound)
      do throws(PackedChunkError) {
        try chunk.expand(region.bytes, blob.transform, into: &bytes, workspace)
      } catch {
        throw error.failure(at: "\(path): \(place(of: key))")
      }
    }
  }

  private func place(of key: Key) -> String {
    let file = directory.files[key.file]
    let tensor = file.blobs[key.blob].tensor.map { ", tensor \($0)" } ?? ""
    return "file \"\(file.path)\"\(tensor), chunk \(key.chunk)"
  }
}

extension [Int] {
  /// The position of the last number that is not above `value`, in an ascending list whose first one
  /// is not. O(log n).
  fileprivate func lastPosition(notAbove value: Int) -> Int {
    var (low, high) = (0, count)
    while low + 1 < high {
      let middle = (low + high) / 2
      if self[middle] <= value { low = middle } else { high = middle }
    }
    return low
  }
}
