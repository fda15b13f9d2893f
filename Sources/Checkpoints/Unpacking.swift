internal import Codecs
public import Containers
internal import Kernels
internal import TensorCore

/// Restores the files of a container, or some of its tensors, into a folder that appears whole or
/// not at all.
public struct Unpacking: Sendable {
  public struct Report: Sendable {
    public let path: String
    /// Paths of the files that were written.
    public let files: [String]
    public let byteCount: Int
    public let seconds: Double
  }

  private let container: PackedQuantFile
  public var threads = Processor.cores
  public var sync = true
  /// Whether a checkpoint that stands at the output is replaced.
  public var force = false

  /// Opens a container. Throws `malformed` or `unsupported` with a PQ rule, `io`.
  public init(opening path: String) throws {
    container = try PackedQuantFile(path: path)
  }

  /// Restores the files whose path `isWanted`, byte for byte; where there is none, the tensors
  /// whose name is, into one `model.safetensors`. Every digest of what is restored is checked
  /// before the folder takes its name.
  ///
  /// Throws `usage` where the output exists or nothing is wanted, `malformed` with the PQ rule of
  /// the first damage, `io`.
  public func restore(
    to path: String, progress: PackedQuantWalk.Progress? = nil,
    where isWanted: (String) -> Bool = { _ in true }
  ) throws -> Report {
    let files = container.directory.files.indices.filter {
      isWanted(container.directory.files[$0].path)
    }
    let tensors = files.isEmpty ? try tensors(where: isWanted) : []
    guard !files.isEmpty || !tensors.isEmpty else {
      throw Failure(.usage, at: container.path, "no file and no tensor is of that name")
    }
    try OutputGuard(
      source: container.path, isLoneFile: false, output: path, force: force
    ).check()
    let began = ContinuousClock.now
    let folder = try OutputFolder(path: path, replacing: force)
    do {
      let written =
        files.isEmpty
        ? try write(tensors, to: folder) : try write(files, to: folder, progress)
      try folder.finish(sync: sync)
      return Report(
        path: path, files: written.names, byteCount: written.byteCount,
        seconds: (ContinuousClock.now - began) / .seconds(1))
    } catch {
      folder.discard()
      throw error
    }
  }

  private func write(
    _ files: [Int], to folder: OutputFolder, _ progress: PackedQuantWalk.Progress?
  ) throws -> (names: [String], byteCount: Int) {
    let entries = files.map { container.directory.files[$0] }
    var targets: [Int: OutputFile] = [:]
    for (position, entry) in zip(files, entries) {
      if entry.path.contains("/") { try folder.makeSubfolder(entry.path.folderName) }
      let target = try folder.makeFile(entry.path)
      try target.reserve(entry.byteCount)
      targets[position] = target
    }
    let opened = targets
    let walk = PackedQuantWalk(container, files: files, threads: threads, progress: progress)
    let failures = try walk.run { file, offset, bytes in
      try opened[file]?.write(bytes, at: offset)
    }
    if let first = failures.first { throw first }
    for (position, entry) in zip(files, entries) {
      try targets[position]?.commit(byteCount: entry.byteCount, sync: sync)
    }
    return (entries.map(\.path), entries.reduce(0) { $0 + $1.byteCount })
  }

  private func tensors(where isWanted: (String) -> Bool) throws -> [Tensor] {
    let all = try ShardedTensors(opening: container.path, strict: false).tensors
    return all.filter { isWanted($0.name) }
  }

  private func write(
    _ tensors: [Tensor], to folder: OutputFolder
  ) throws -> (names: [String], byteCount: Int) {
    let layout = try SafetensorsLayout(tensors: tensors.map(\.info))
    // By bytes: two names may be one text.
    let sources = Dictionary(tensors.map { (Array($0.name.utf8), $0) }) { first, _ in first }
    let name = "model.safetensors"
    let file = try folder.makeFile(name)
    try file.write(layout.header, at: 0)
    for place in layout.placements {
      guard let tensor = sources[Array(place.info.name.utf8)] else { continue }
      try tensor.forEachBlock(of: PackedQuant.chunkBytes) {
        try file.write($1, at: place.offset + $0)
      }
    }
    try file.commit(byteCount: layout.byteCount, sync: sync)
    return ([name], layout.byteCount)
  }
}
