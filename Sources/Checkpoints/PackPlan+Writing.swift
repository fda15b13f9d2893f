internal import Codecs
public import Containers
internal import Kernels
internal import TensorCore

/// What a packing has made.
public struct PackReport: Sendable {
  /// nil where nothing was written.
  public let path: String?
  public let directory: PackedQuantDirectory
  /// Bytes of the container.
  public let byteCount: Int
  /// Layers that are kept as raw tensors.
  public let raw: [(name: String, reason: String)]
  public let notes: [String]
  /// Seconds for storing, and for reading all of it back.
  public let seconds: (writing: Double, proving: Double)

  /// Bytes of the container for each byte of the files.
  public var ratio: Double {
    directory.byteCount > 0 ? Double(byteCount) / Double(directory.byteCount) : 1
  }
}

extension PackPlan {
  /// What a packing is doing.
  public enum Stage: Sendable { case writing, proving }

  /// Called with bytes done and in all, from any thread.
  public typealias Progress = @Sendable (_ stage: Stage, _ done: Int, _ total: Int) -> Void

  /// Compresses everything and writes nothing.
  public func measure(progress: Progress? = nil) throws -> PackReport {
    let began = ContinuousClock.now
    let result = try writer().write(to: nil) { progress?(.writing, $0, $1) }
    return report(nil, result, (Self.seconds(since: began), 0))
  }

  /// Writes the container beside its name, reads all of it back, compares it with the digests of
  /// what was packed, flushes it, and only then gives it its name.
  ///
  /// Throws `usage` where something else stands there or the output lies in the source, `io`,
  /// `cannotRepresent` where a path is not fit for a container. Nothing half-written stays.
  public func write(to path: String, progress: Progress? = nil) throws -> PackReport {
    try checkOutput(path)
    let began = ContinuousClock.now
    let file = try OutputFile(path: path)
    let result = try writer().write(to: file) { progress?(.writing, $0, $1) }
    let written = ContinuousClock.now
    try prove(file.temporary, result.directory) { progress?(.proving, $0, $1) }
    let seconds = ((written - began) / .seconds(1), Self.seconds(since: written))
    try file.commit(byteCount: result.byteCount, sync: options.sync)
    if options.sync { try FileSystem.syncFolder(path.folderName) }
    return report(path, result, seconds)
  }

  private func writer() throws -> PackedQuantWriter {
    try PackedQuantWriter(
      sources, layers: layers, writer: "nibble \(Release.version)", level: options.level,
      threads: options.threads)
  }

  /// The digests in the directory are those of the bytes that were read from the source.
  private func prove(
    _ path: String, _ directory: PackedQuantDirectory,
    _ progress: @escaping PackedQuantWalk.Progress
  ) throws {
    let container = try PackedQuantFile(path: path)
    guard container.directory == directory else {
      throw Failure(.differs, at: path, "the directory read back is another")
    }
    let failures = try container.check(threads: options.threads, progress: progress)
    guard let first = failures.first else { return }
    throw Failure(
      .differs, at: path, "the container does not hold what was packed", found: first.description)
  }

  private func checkOutput(_ output: String) throws {
    let isFolder = FileSystem.kind(of: path) == .folder
    try OutputGuard(source: path, isLoneFile: !isFolder, output: output, force: false).check()
    guard FileSystem.kind(of: output) != nil else { return }
    guard options.force, PackedQuant.isContainer(output) else {
      throw Failure(
        .usage, at: output, "the output exists already",
        remedy: PackedQuant.isContainer(output)
          ? "choose another name, or replace it with --force" : nil)
    }
  }

  private func report(
    _ path: String?, _ result: (directory: PackedQuantDirectory, byteCount: Int),
    _ seconds: (Double, Double)
  ) -> PackReport {
    PackReport(
      path: path, directory: result.directory, byteCount: result.byteCount, raw: raw,
      notes: notes, seconds: seconds)
  }

  private static func seconds(since began: ContinuousClock.Instant) -> Double {
    (ContinuousClock.now - began) / .seconds(1)
  }
}
