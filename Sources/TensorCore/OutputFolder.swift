internal import Glibc

/// A folder that appears whole or not at all: it is filled under `<path>.unfinished` and takes its
/// name on `finish`.
///
/// A crash leaves only the `.unfinished` folder, marked by a journal that says what was being made.
/// The next run that makes the same goes on with the files that are complete there; another clears
/// it. Two runs to the same place exclude each other by a lock on that folder.
public final class OutputFolder: Sendable {
  /// The name of the journal inside an unfinished folder.
  public static let journalName = "nibble.unfinished.json"

  private static let suffix = ".unfinished"

  /// The name the folder takes when it is finished.
  public let path: String
  /// Where files are written until then.
  public let staging: String
  /// Files that an earlier run with the same fingerprint has completed, by name.
  public let completed: Set<String>
  private let lock: Int32

  /// Creates the staging folder, or goes on with one of the same `fingerprint`; nil never goes on.
  ///
  /// Throws `usage` where `path` exists and is not an empty folder, unless `replacing`, or where
  /// the staging folder holds what no run of this program left; `io` where another run holds it or
  /// the system refuses.
  public init(path: String, replacing: Bool, fingerprint: JSON? = nil) throws {
    var path = path
    while path.utf8.count > 1 && path.hasSuffix("/") { path.removeLast() }
    self.path = path
    staging = path + Self.suffix
    try Self.checkVacant(path, replacing: replacing)
    if FileSystem.kind(of: staging) == nil { try FileSystem.makeFolder(staging) }
    // SAFETY: the string is lent for the call.
    lock = unsafe open(staging, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

    guard lock >= 0 else { throw Failure.system("open the folder", staging) }
    do {
      guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
        throw Failure(.io, at: staging, "another run is writing here")
      }
      completed = try Self.takeOver(staging, fingerprint)
    } catch {
      // An object that was never whole has no deinit to close it. The folder goes if it is empty.
      Self.release(lock)
      // SAFETY: the string is lent for the call.
      unsafe _ = rmdir(staging)
      throw error
    }
  }

  /// Clears what an earlier run left in `staging`, or keeps its complete files; returns these.
  private static func takeOver(_ staging: String, _ fingerprint: JSON?) throws -> Set<String> {
    let names = try FileSystem.names(in: staging)
    let journal = staging + "/" + journalName
    // A run that was cut short before its journal was whole left that and nothing else.
    let isOurs = names.contains(journalName) || names.allSatisfy { $0 == journalName + ".partial" }
    guard isOurs else {
      throw Failure(
        .usage, at: staging, "the folder for unfinished work holds other files",
        expected: "nothing, or a \(journalName)", found: "\(names.count) files",
        remedy: "move it away")
    }
    let old = try? FileSystem.contents(of: journal, limit: 1 << 24)
    let text = Array((fingerprint ?? .null).text(indent: 2).utf8)
    let goesOn = fingerprint != nil && old == text
    for name in names where name != journalName && !(goesOn && !name.hasSuffix(".partial")) {
      try FileSystem.removeFolder(staging + "/" + name)
    }
    guard !goesOn else {
      return Set(names.filter { $0 != journalName && !$0.hasSuffix(".partial") })
    }
    let file = try OutputFile(path: journal)
    try file.write(text, at: 0)
    try file.commit(byteCount: text.count, sync: true)
    return []
  }

  deinit { Self.release(lock) }

  /// By word, not by closing alone: a process that is just being started still has the descriptor.
  private static func release(_ lock: Int32) {
    flock(lock, LOCK_UN)
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

  /// Throws `malformed` where `path` is a folder, or a file in one, that a run of this program has
  /// not finished.
  public static func checkFinished(_ path: String) throws {
    let folder = FileSystem.kind(of: path) == .folder ? path : path.folderName
    // Under its final name a folder is whole: the journal goes last.
    let isStaged = FileSystem.realPath(folder)?.hasSuffix(suffix) ?? false
    guard isStaged, FileSystem.kind(of: folder + "/" + journalName) != nil else { return }
    throw Failure(
      .malformed, at: path, "the output of a run that was cut short",
      expected: "a finished checkpoint", found: "a \(journalName) beside it",
      remedy: "run the same command again to finish it")
  }

  /// Whether a file other than the journal has been completed here.
  public var hasCompleteFiles: Bool {
    let names = (try? FileSystem.names(in: staging)) ?? []
    return names.contains { $0 != Self.journalName && !$0.hasSuffix(".partial") }
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
    try FileSystem.removeFolder(path + "/" + Self.journalName)
    if replaces { try FileSystem.removeFolder(old) }
    if sync { try FileSystem.syncFolder(path.folderName) }
  }

  /// Removes what was written so far.
  public func discard() {
    try? FileSystem.removeFolder(staging)
  }
}
