internal import Glibc
internal import TensorCore

/// A new empty folder that is removed with all in it when the last reference goes.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() throws {
    var template = Array("/tmp/nibble-test-XXXXXX".utf8CString)
    // SAFETY: the template is NUL-terminated, writable and outlives the call.
    guard unsafe mkdtemp(&template) != nil else {
      throw Failure(.io, at: "/tmp", "cannot make a temporary folder")
    }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    try? FileSystem.removeFolder(path)
  }

  /// The full path of a name in the folder.
  public func path(_ name: String) -> String { path + "/" + name }

  /// Writes a file of these bytes and returns its path.
  @discardableResult
  public func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = try OutputFile(path: path(name))
    try file.write(bytes, at: 0)
    try file.commit(byteCount: bytes.count, sync: false)
    return path(name)
  }

  public func names() throws -> [String] { try FileSystem.names(in: path) }
}
