internal import CLinux
internal import Glibc
internal import Synchronization

/// A file being written beside its final name, which it takes only on `commit`.
///
/// A class, so that several threads may write disjoint ranges of it at once. Without a commit the
/// temporary sibling is removed when the last reference goes.
public final class OutputFile: Sendable {
  /// The name the file takes on commit.
  public let path: String
  /// Where it is until then.
  public let temporary: String
  private let descriptor: Int32
  private let committed = Atomic<Bool>(false)

  /// Creates `path` + `.partial`, replacing a stale one. Throws `io`.
  public init(path: String) throws {
    self.path = path
    temporary = path + ".partial"
    // SAFETY: Swift strings lend NUL-terminated pointers for the call.
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW
    descriptor = unsafe open(temporary, flags, 0o666)
    guard descriptor >= 0 else { throw Failure.system("create", temporary) }
  }

  deinit {
    close(descriptor)
    if !committed.load(ordering: .relaxed) {
      // SAFETY: as above.
      _ = unsafe unlink(temporary)
    }
  }

  /// Sets aside disk space for the whole file, so that a full disk is met before work is done.
  public func reserve(_ byteCount: Int) throws {
    guard byteCount > 0 else { return }
    let code = posix_fallocate(descriptor, 0, off_t(byteCount))
    // A file system that can't reserve is no reason to stop.
    if code != 0 && code != EOPNOTSUPP && code != EINVAL {
      throw Failure.system("reserve \(byteCount) bytes for", path, code: code)
    }
  }

  /// Writes `bytes` at `offset`. Throws `io`.
  public func write(_ bytes: RawSpan, at offset: Int) throws {
    var done = 0
    let wanted = bytes.byteCount
    while done < wanted {
      // SAFETY: the pointer is valid for `wanted` bytes inside the closure.
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe pwrite(descriptor, buffer.baseAddress! + done, wanted - done, off_t(offset + done))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure.system("write", path)
      }
      done += count
    }
  }

  /// Writes the bytes of an array at `offset`.
  public func write(_ bytes: [UInt8], at offset: Int) throws {
    // SAFETY: the bytes are initialised and the array outlives the call.
    try unsafe write(bytes.span.bytes, at: offset)
  }

  /// Lets the disk begin on what was written there while the rest is being made; the flush of `commit`
  /// then has less to wait for. A system that can't is no reason to stop.
  public func beginFlush(_ range: Range<Int>) {
    _ = nibble_begin_flush(descriptor, Int64(range.lowerBound), Int64(range.count))
  }

  /// Copies `range` of `source` to `offset` inside the kernel where the system can.
  public func copy(_ range: Range<Int>, of source: InputFile, to offset: Int) throws {
    var from = Int64(range.lowerBound)
    var to = Int64(offset)
    while from < range.upperBound {
      // SAFETY: both offsets are local variables that outlive the call.
      let count = unsafe nibble_copy_range(
        source.descriptor, &from, descriptor, &to, range.upperBound - Int(from))
      if count < 0 && errno == EINTR { continue }
      if count <= 0 {
        return try copyThroughMemory(Int(from)..<range.upperBound, of: source, to: Int(to))
      }
    }
  }

  private func copyThroughMemory(_ range: Range<Int>, of source: InputFile, to offset: Int) throws {
    var block = AlignedBytes(count: min(range.count, 4 << 20))
    var position = range.lowerBound
    while position < range.upperBound {
      let count = min(block.count, range.upperBound - position)
      var span = block.mutableBytes
      var part = span.part(0..<count)
      try source.read(into: &part, at: position)
      try write(block.bytes.part(0..<count), at: offset + position - range.lowerBound)
      position += count
    }
  }

  /// Cuts the file to `byteCount`, flushes it where `sync`, and gives it its name.
  public func commit(byteCount: Int, sync: Bool) throws {
    guard ftruncate(descriptor, off_t(byteCount)) == 0 else { throw Failure.system("cut", path) }
    if sync && fsync(descriptor) != 0 { throw Failure.system("flush", path) }
    // SAFETY: Swift strings lend NUL-terminated pointers for the call.
    guard unsafe rename(temporary, path) == 0 else { throw Failure.system("rename", temporary) }
    committed.store(true, ordering: .relaxed)
  }
}
