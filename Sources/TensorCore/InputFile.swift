internal import Glibc

/// A regular file opened for reading; it never maps it and never moves a shared offset, so any
/// number of threads may read at once.
public final class InputFile: ByteSource {
  public let path: String
  /// Bytes in the file when it was opened.
  public let size: Int
  /// Device and inode: equal for two paths to the same file.
  public let identity: FileIdentity
  let descriptor: Int32

  /// Opens `path`, following links. Throws `io` where it is missing, unreadable or not a file.
  public init(path: String) throws {
    // SAFETY: a Swift string lends a NUL-terminated pointer for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure.system("open", path) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      let failure = Failure.system("examine", path)
      close(descriptor)
      throw failure
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw Failure(.io, at: path, "not a regular file")
    }
    self.path = path
    self.descriptor = descriptor
    size = Int(status.st_size)
    identity = FileIdentity(status)
  }

  deinit {
    close(descriptor)
  }

  /// Fills `bytes` from `offset`. Throws `io` where the file ends before, or can't be read.
  public func read(into bytes: inout MutableRawSpan, at offset: Int) throws {
    var done = 0
    let wanted = bytes.byteCount
    while done < wanted {
      // SAFETY: the pointer is valid for `wanted` bytes inside the closure.
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe pread(descriptor, buffer.baseAddress! + done, wanted - done, off_t(offset + done))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw Failure.system("read", path)
      }
      guard count > 0 else {
        throw Failure(
          .io, at: path, "the file ended while being read",
          expected: "\(wanted) bytes at offset \(offset)", found: "\(done)")
      }
      done += count
    }
  }
}

/// What makes two paths the same file.
public struct FileIdentity: Hashable, Sendable {
  let device: UInt64
  let inode: UInt64

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
  }
}
