public import TensorCore

/// Files by their paths, wherever they are: a folder of the file system, or a container that
/// restores them on demand.
public protocol ModelFolder: Sendable {
  /// Where it is, for error messages; files are shown below it.
  var path: String { get }
  /// Names of what lies directly in it, sorted bytewise. Throws `io`.
  func names() throws -> [String]
  /// Paths of every file below it, hidden ones left out, sorted in each folder. Throws `io`.
  func paths() throws -> [String]
  /// Opens a file by its path from here; nil where there is no such file. Throws `io`.
  func open(_ path: String) throws -> (any ByteSource)?
}

extension ModelFolder {
  /// All bytes of a small file; nil where there is none. Throws `malformed` where it is larger than
  /// `limit`, `io`.
  public func contents(of name: String, limit: Int) throws -> [UInt8]? {
    guard let file = try open(name) else { return nil }
    guard file.size <= limit else {
      throw Failure(
        .malformed, at: file.path, "the file is too large", expected: "at most \(limit) bytes",
        found: "\(file.size)")
    }
    return try file.contents(0..<file.size)
  }
}

/// A folder of the file system.
public struct DiskFolder: ModelFolder {
  public let path: String

  public init(_ path: String) {
    self.path = path
  }

  public func names() throws -> [String] { try FileSystem.names(in: path) }

  public func open(_ name: String) throws -> (any ByteSource)? {
    let file = path + "/" + name
    return FileSystem.kind(of: file) == .file ? try InputFile(path: file) : nil
  }

  public func paths() throws -> [String] {
    try paths(in: path, below: "", within: []) { name, _ in !name.hasPrefix(".") }
  }

  /// Every file, hidden ones too, but for hidden folders: those of version control and caches.
  public func pathsWithHidden() throws -> [String] {
    try paths(in: path, below: "", within: []) { !$0.hasPrefix(".") || $1 == .file }
  }

  /// Links are followed, as download caches are made of them, but not into a folder `within` which
  /// this one lies.
  private func paths(
    in folder: String, below prefix: String, within parents: [FileIdentity],
    where isWanted: (String, FileSystem.Kind) -> Bool
  ) throws -> [String] {
    guard let identity = FileSystem.identity(of: folder), !parents.contains(identity) else {
      return []
    }
    return try FileSystem.names(in: folder).flatMap { name -> [String] in
      let path = folder + "/" + name
      guard let kind = FileSystem.kind(of: path), isWanted(name, kind) else { return [] }
      switch kind {
      case .file: return [prefix + name]
      case .folder:
        return try paths(
          in: path, below: prefix + name + "/", within: parents + [identity], where: isWanted)
      case .other: return []
      }
    }
  }
}
