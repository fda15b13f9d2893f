internal import Glibc

/// A folder that appears whole or not at all: it is filled under `<path>.unfinished` and takes its
/// name on `finish`.
///
/// A crash leaves only the `.unfinished` folder, which the next run to the same place removes. Two
/// runs to the same place exclude each other by a lock on that folder.
public final class OutputFolder: Sendable {
  /// The name the folder takes when it is finished.
  public let path: String
  /// Where files are written until then.
  public let staging: String
  private let lock: Int32

  /// Creates the staging folder. Throws `usage` where `path` exists and is not an empty folder,
  /// unless `replacing`; `io` where another run holds it or the system refuses.
  public init(path: String, replacing: Bool) throws {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    self.path = path
    staging = path + ".unfinished"
    try Self.checkVacant(path, replacing: replacing)
    if FileSystem.kind(of: staging) == nil { try FileSystem.makeFolder(staging) }
    // SAFETY: the string is lent for the call.
    lock = unsafe open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
    guard lock >= 0 else { throw Failure.system("open the folder", staging) }
    // From here on `deinit` closes it, also where this initialiser throws.
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      throw Failure(.io, at: staging, "another run is writing here")
    }
    for name in try FileSystem.names(in: staging) {
      try FileSystem.removeFolder(staging + "/" + name)
    }
  }

  deinit {
    close(lock)
  }

  private static func checkVacant(_ path: String, replacing: Bool) throws {
    guard let kind = FileSystem.kind(of: path) else { return }
    let isEmptyFolder = try kind == .folder && FileSystem.names(in: path).isEmpty
    guard isEmptyFolder || replacing && kind == .folder else {
      throw Failure(
        .usage, at: path, "the output exists already",
        remedy: kind == .folder ? "choose another name, or replace it with --force" : nil)
    }
  }

  /// A new file in the folder.
  public func makeFile(_ name: String) throws -> OutputFile {
    try OutputFile(path: staging + "/" + name)
  }

  /// Makes a folder inside, and those above it.
  public func makeSubfolder(_ name: String) throws {
    var path = staging
    for part in name.split(separator: "/") {
      path += "/" + part
      if FileSystem.kind(of: path) == nil { try FileSystem.makeFolder(path) }
    }
  }

  /// Writes one small file.
  public func write(_ bytes: [UInt8], to name: String, sync: Bool) throws {
    let file = try makeFile(name)
    try file.write(bytes, at: 0)
    try file.commit(byteCount: bytes.count, sync: sync)
  }

  /// Flushes the folder and gives it its name; one that stood there before is removed after.
  public func finish(sync: Bool) throws {
    if sync { try FileSystem.syncFolder(staging) }
    let old = path + ".replaced"
    let replaces = FileSystem.kind(of: path) != nil
    if replaces { try FileSystem.move(path, to: old) }
    try FileSystem.move(staging, to: path)
    if replaces { try FileSystem.removeFolder(old) }
    if sync { try FileSystem.syncFolder(path.folderName) }
  }

  /// Removes what was written so far.
  public func discard() {
    try? FileSystem.removeFolder(staging)
  }
}
