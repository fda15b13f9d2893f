public import Containers
public import Kernels
public import TensorCore

/// Whether every byte of a container is what it was when it was written.
public struct ContainerCheck: Sendable {
  public let container: PackedQuantFile
  /// What is wrong, in the order of the container.
  public let failures: [Failure]
  public let seconds: Double

  /// Reads all of it: checksums, padding, frames, digests. nil where `path` is no container. Throws
  /// `malformed` or `unsupported` where it can't be opened, `io`.
  public init?(
    of path: String, threads: Int = Processor.cores, progress: PackedQuantWalk.Progress? = nil
  ) throws {
    guard PackedQuant.isContainer(path) else { return nil }
    let began = ContinuousClock.now
    container = try PackedQuantFile(path: path)
    failures = try container.check(threads: threads, progress: progress)
    seconds = (ContinuousClock.now - began) / .seconds(1)
  }

  public var chunks: Int {
    container.directory.files.reduce(0) { $0 + $1.blobs.reduce(0) { $0 + $1.chunks.count } }
  }

  /// Restored bytes that were checked in a second.
  public var bytesPerSecond: Double {
    Double(container.directory.byteCount) / max(seconds, 1e-9)
  }
}
