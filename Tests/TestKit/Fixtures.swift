import TensorCore

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Where tests find their files.
public enum Fixtures {
  /// The root of the package, found from this file.
  public static let package: String = {
    let file = #filePath
    return file.folderName.folderName.folderName
  }()

  /// The path of a fixture, such as `safetensors/valid`.
  public static func path(_ relative: String) -> String {
    package + "/Fixtures/" + relative
  }

  /// The full paths of what is in a folder of fixtures, sorted bytewise.
  public static func paths(in relative: String) throws -> [String] {
    try FileSystem.names(in: path(relative)).map { path(relative) + "/" + $0 }
  }

  /// The rule that an invalid fixture breaks, from its name `<ROOM>-<number>-<what>`.
  public static func rule(of path: String) -> String {
    path.fileName.split(separator: "-").prefix(2).joined(separator: "-")
  }

  /// The folder of full-sized checkpoints named by `NIBBLE_GOLDENS`; nil where it is not set.
  public static let goldens: String? = {
    // SAFETY: getenv returns nil or a NUL-terminated string, copied at once.
    unsafe getenv("NIBBLE_GOLDENS").map { unsafe String(cString: $0) }
  }()

  /// Rounds of each test on random damage; `NIBBLE_FUZZ` asks for more.
  public static let fuzzRounds: Int = {
    // SAFETY: as above.
    let asked = unsafe getenv("NIBBLE_FUZZ").map { unsafe String(cString: $0) }
    return asked.flatMap(Int.init) ?? 300
  }()
}
