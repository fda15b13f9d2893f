internal import Glibc

/// The few questions the package asks of a file system.
public enum FileSystem {
  public enum Kind: Sendable { case file, folder, other }

  /// What is at `path`, links followed; nil where nothing is.
  public static func kind(of path: String) -> Kind? {
    status(of: path).map {
      switch $0.st_mode & S_IFMT {
      case S_IFREG: .file
      case S_IFDIR: .folder
      default: .other
      }
    }
  }

  /// What makes two paths the same; nil where nothing is.
  public static func identity(of path: String) -> FileIdentity? {
    status(of: path).map { FileIdentity($0) }
  }

  /// When a file was last written, in nanoseconds; nil where nothing is.
  public static func modificationTime(of path: String) -> Int? {
    status(of: path).map { $0.st_mtim.tv_sec * 1_000_000_000 + $0.st_mtim.tv_nsec }
  }

  /// Bytes that may still be written where `path` is or would be; nil where the system does not say.
  public static func freeBytes(at path: String) -> Int? {
    var place = path
    while kind(of: place) == nil, place != ".", place != "/" { place = place.folderName }
    var status = statvfs()
    // SAFETY: the string is lent for the call and `status` is a local variable.
    guard unsafe statvfs(place, &status) == 0 else { return nil }
    return Int(clamping: status.f_bavail).multiplied(by: Int(clamping: status.f_frsize))
  }

  private static func status(of path: String) -> stat? {
    var status = stat()
    // SAFETY: the string is lent for the call and `status` is a local variable.
    return unsafe stat(path, &status) == 0 ? status : nil
  }

  /// The names in a folder, sorted bytewise, without `.` and `..`. Throws `io`.
  public static func names(in folder: String) throws -> [String] {
    // SAFETY: the handle is checked, used on this thread alone and closed once.
    guard let handle = unsafe opendir(folder) else { throw Failure.system("list", folder) }
    defer { unsafe closedir(handle) }
    var names: [String] = []
    while let entry = unsafe readdir(handle) {
      // SAFETY: d_name is NUL-terminated inside the entry, which lives until the next readdir.
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) {
        unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The whole of a small file. Throws `io`, or `malformed` where it is larger than `limit`.
  public static func contents(of path: String, limit: Int) throws -> [UInt8] {
    let file = try InputFile(path: path)
    guard file.size <= limit else {
      throw Failure(
        .malformed, at: path, "the file is too large", expected: "at most \(limit) bytes",
        found: "\(file.size)")
    }
    return try file.contents(0..<file.size)
  }

  /// The path without links and dots; nil where nothing is there.
  public static func realPath(_ path: String) -> String? {
    // SAFETY: realpath allocates its answer, which is copied and freed here.
    guard let answer = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(answer) }
    return unsafe String(cString: answer)
  }

  public static func makeFolder(_ path: String) throws {
    // SAFETY: the string is lent for the call.
    guard unsafe mkdir(path, 0o777) == 0 else { throw Failure.system("create the folder", path) }
  }

  /// Renames within one file system, replacing a file or an empty folder.
  static func move(_ path: String, to target: String) throws {
    // SAFETY: the strings are lent for the call.
    guard unsafe rename(path, target) == 0 else { throw Failure.system("rename", path) }
  }

  /// Removes a folder and all in it, or a file, or a link and not what it leads to. Missing is
  /// fine. Throws `io`.
  public static func removeFolder(_ path: String) throws {
    // SAFETY: the string is lent for the call.
    if unsafe unlink(path) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else { throw Failure.system("remove", path) }
    for name in try names(in: path) { try removeFolder(path + "/" + name) }
    // SAFETY: as above.
    guard unsafe rmdir(path) == 0 else { throw Failure.system("remove the folder", path) }
  }

  /// Flushes the entries of a folder to disk.
  public static func syncFolder(_ path: String) throws {
    // SAFETY: the string is lent for the call.
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure.system("open the folder", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw Failure.system("flush the folder", path) }
  }
}

extension String {
  /// The last component of a path.
  public var fileName: String {
    var parts = split(separator: "/")
    return String(parts.popLast() ?? "")
  }

  /// The path without its last component; `.` where there is none.
  public var folderName: String {
    guard let slash = lastIndex(of: "/") else { return "." }
    return slash == startIndex ? "/" : String(self[..<slash])
  }
}
