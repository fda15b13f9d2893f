public import Containers
public import Kernels
internal import TensorCore

extension Manifest {
  private static let bandBytes = 1 << 18

  /// Reads and hashes all there is: of a folder or an index every file of the folder but hidden
  /// ones, of a lone file itself. A tensor is hashed on one thread. Throws `io`.
  public init(of path: String, _ tensors: ShardedTensors, threads: Int = Processor.cores) throws {
    try self.init(of: path, tensors, source: nil, options: nil, threads: threads)
  }

  init(
    of path: String, _ tensors: ShardedTensors, source: Source?, options: JSONObject?,
    threads: Int
  ) throws {
    let pieces = try Self.pieces(of: tensors, besides: Self.besides(tensors, at: path))
    let digests = try Self.digests(of: pieces, threads: threads)
    var files: [File] = []
    var entries: [Entry] = []
    for (piece, digest) in zip(pieces, digests) {
      if let tensor = piece.tensor {
        entries.append(Entry(info: tensor.info, file: piece.file, digest: digest))
      } else {
        files.append(
          File(
            path: piece.file, byteCount: piece.source.size, holdsTensors: piece.isHeader,
            digest: digest))
      }
    }
    writer = "nibble \(Release.version)"
    self.source = source
    self.options = options
    self.files = files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    self.tensors = entries
  }

  /// Bytes with a digest of their own.
  private struct Piece: Sendable {
    let file: String
    let source: any ByteSource
    let range: Range<Int>
    var isHeader = false
    var tensor: Tensor?
  }

  /// The other files of the folder.
  private static func besides(_ tensors: ShardedTensors, at path: String) throws -> [String] {
    guard coversFolder(path) else { return [] }
    let known = Set(tensors.files.map(\.name) + [fileName, OutputFolder.journalName])
    return try tensors.contents.paths().filter { !known.contains($0) }
  }

  /// Whether a path names a whole folder, or a container of one: a lone file has no manifest beside
  /// it.
  static func coversFolder(_ path: String) -> Bool {
    FileSystem.kind(of: path) == .folder || path.hasSuffix(".index.json")
      || PackedQuant.isContainer(path)
  }

  private static func pieces(
    of tensors: ShardedTensors, besides others: [String]
  ) throws -> [Piece] {
    let headers = tensors.files.map {
      Piece(file: $0.name, source: $0.source, range: 0..<$0.header.dataOffset, isHeader: true)
    }
    let whole = try others.compactMap { path in
      try tensors.contents.open(path).map {
        Piece(file: path, source: $0, range: 0..<$0.size)
      }
    }
    let parts = tensors.tensors.map { tensor in
      Piece(
        file: tensor.source.path.fileName, source: tensor.source,
        range: tensor.offset..<tensor.offset + tensor.byteCount, tensor: tensor)
    }
    return headers + whole + parts
  }

  /// The digests in the order of the pieces; the longest are begun first, so that no thread is left
  /// alone with one.
  private static func digests(of pieces: [Piece], threads: Int) throws -> [String] {
    let order = pieces.indices.sorted {
      (pieces[$1].range.count, $0) < (pieces[$0].range.count, $1)
    }
    let digests = Gathered<String>(count: pieces.count)
    try parallelBands(order.count, threads: threads) { position, workspace in
      let piece = pieces[order[position]]
      digests.set(try digest(of: piece, workspace), at: order[position])
    }
    return digests.values
  }

  private static func digest(of piece: Piece, _ workspace: Workspace) throws -> String {
    var hash = SHA256()
    for start in stride(from: piece.range.lowerBound, to: piece.range.upperBound, by: bandBytes) {
      try workspace.lend(min(bandBytes, piece.range.upperBound - start)) { bytes in
        try piece.source.read(into: &bytes, at: start)
        hash.update(bytes.bytes)
      }
    }
    return hash.hex
  }
}

extension Manifest.Source {
  private static let revisionKeys = ["_commit_hash", "_revision", "revision", "model_revision"]

  init(of checkpoint: Checkpoint) {
    let path = Manifest.coversFolder(checkpoint.path) ? checkpoint.tensors.folder : checkpoint.path
    let parts = (FileSystem.realPath(path) ?? path).split(separator: "/").map(String.init)
    let config = checkpoint.config.model?.object
    let stated = Self.revisionKeys.lazy.compactMap { config?[$0]?.string }.first
    // Download caches keep a model as models--OWNER--NAME/snapshots/COMMIT.
    let tail = parts.suffix(3)
    if tail.count == 3, tail[tail.startIndex + 1] == "snapshots",
      tail[tail.startIndex].hasPrefix("models--")
    {
      let words = tail[tail.startIndex].split(separator: "--").dropFirst()
      name = words.joined(separator: "/")
      revision = stated ?? tail.last
    } else {
      name = parts.last ?? path
      revision = stated
    }
    files = checkpoint.tensors.files.map { ($0.name, $0.size) }
  }
}
