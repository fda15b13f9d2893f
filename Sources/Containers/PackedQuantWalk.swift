public import Kernels
internal import Synchronization
public import TensorCore

/// One pass over whole files of a container: every chunk is read, checked and expanded on all
/// threads, and the tree of digests is made again from them.
public struct PackedQuantWalk: Sendable {
  /// Called with restored bytes done and in all, from any thread.
  public typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

  private let container: PackedQuantFile
  /// Positions in the directory.
  private let files: [Int]
  private let threads: Int
  private let progress: Progress?

  public init(
    _ container: PackedQuantFile, files: [Int], threads: Int = Processor.cores,
    progress: Progress? = nil
  ) {
    (self.container, self.files, self.threads) = (container, files, threads)
    self.progress = progress
  }

  /// Hands every chunk to `take` with its file and its place there, from any thread; returns what
  /// is wrong, in the order of the container. Throws what `take` throws, and `io`.
  public func run(
    _ take: @Sendable (_ file: Int, _ offset: Int, _ bytes: RawSpan) throws -> Void
  ) throws -> [Failure] {
    let keys = keys
    let total = files.reduce(0) { $0 + container.directory.files[$1].byteCount }
    let results = Mutex([Result<[UInt8], Failure>?](repeating: nil, count: keys.count))
    let done = Atomic(0)
    try parallelBands(keys.count, threads: threads) { index, workspace in
      let key = keys[index]
      let range = container.directory.files[key.file].blobs[key.blob].range(of: key.chunk)
      let result = try workspace.lend(range.count) { bytes -> Result<[UInt8], Failure> in
        do {
          try container.expand(key, into: &bytes, workspace)
        } catch let failure as Failure where failure.kind != .io {
          return .failure(failure)
        }
        try take(key.file, container.starts[key.file][key.blob] + range.lowerBound, bytes.bytes)
        return .success(PackedQuantDigest.chunk(bytes.bytes))
      }
      results.withLock { $0[index] = result }
      progress?(done.wrappingAdd(range.count, ordering: .relaxed).newValue, total)
    }
    return failures(results.withLock { $0.compactMap(\.self) })
  }

  private var keys: [PackedQuantFile.Key] {
    files.flatMap { file in
      container.directory.files[file].blobs.enumerated().flatMap { blob, entry in
        entry.chunks.indices.map { .init(file: file, blob: blob, chunk: $0) }
      }
    }
  }

  private func failures(_ chunks: [Result<[UInt8], Failure>]) -> [Failure] {
    var failures: [Failure] = []
    var next = 0
    for position in files {
      let file = container.directory.files[position]
      var isWhole = true
      for blob in file.blobs {
        let mine = chunks[next..<next + blob.chunks.count]
        next += blob.chunks.count
        let digests = mine.compactMap { try? $0.get() }
        for case .failure(let failure) in mine { failures.append(failure) }
        let digest = PackedQuantDigest.blob(
          byteCount: blob.byteCount, chunkBytes: blob.chunkBytes, digests)
        if digests.count < mine.count {
          isWhole = false
        } else if digest != blob.digest {
          let name = blob.tensor.map { "tensor \($0)" } ?? "bytes beside tensors"
          failures.append(wrong("the digest of \(name)", in: file, 27))
          isWhole = false
        }
      }
      let digest = PackedQuantDigest.file(byteCount: file.byteCount, file.blobs.map(\.digest))
      if isWhole && digest != file.digest {
        failures.append(wrong("the digest of the file", in: file, 28))
      }
    }
    return failures
  }

  private func wrong(
    _ what: String, in file: PackedQuantDirectory.File, _ rule: Int
  ) -> Failure {
    PackedQuant.failure(what, at: "\(container.path): file \"\(file.path)\"", rule)
  }
}

extension PackedQuantFile {
  /// Reads and checks every byte: checksums, padding, frames and digests. Returns what is wrong.
  /// Throws `io`.
  public func check(
    threads: Int = Processor.cores, progress: PackedQuantWalk.Progress? = nil
  ) throws -> [Failure] {
    let walk = PackedQuantWalk(
      self, files: Array(directory.files.indices), threads: threads, progress: progress)
    var failures = try walk.run { _, _, _ in }
    do {
      try PackedQuantFrame.checkDigest(of: source)
    } catch let failure as Failure where failure.kind != .io {
      failures.append(failure)
    }
    return failures
  }
}
