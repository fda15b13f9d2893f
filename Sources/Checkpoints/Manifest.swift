public import TensorCore

/// What a checkpoint consists of, down to the bytes of every tensor (`Formats/manifest.md`).
///
/// Nothing in it depends on when or where it was made: the same checkpoint gives the same text.
public struct Manifest: Sendable, Equatable {
  /// The name of a manifest beside the tensors it speaks of.
  public static let fileName = "nibble.manifest.json"
  static let version = 1

  /// One file, by its path below the folder.
  public struct File: Sendable, Equatable {
    public let path: String
    public let byteCount: Int
    /// Whether tensors of the checkpoint lie in it.
    public let holdsTensors: Bool
    /// SHA-256 in hexadecimal: of the bytes before the first tensor, or of all where none is there.
    public let digest: String
  }

  public struct Entry: Sendable, Equatable {
    public let info: TensorInfo
    /// The path of its file.
    public let file: String
    /// SHA-256 of its bytes in hexadecimal.
    public let digest: String
  }

  /// What a checkpoint was converted from, as far as its folder tells.
  public struct Source: Sendable, Equatable {
    public let name: String
    /// The commit it was fetched at; nil where nothing says.
    public let revision: String?
    /// The files with its tensors, and their bytes.
    public let files: [(name: String, byteCount: Int)]

    public static func == (a: Source, b: Source) -> Bool {
      a.name == b.name && a.revision == b.revision
        && a.files.elementsEqual(b.files) { $0 == $1 }
    }
  }

  /// The program that made it, and its version.
  public let writer: String
  public let source: Source?
  /// What was asked of the conversion; nil where there was none.
  public let options: JSONObject?
  /// Sorted by path, bytewise.
  public let files: [File]
  /// Sorted by name, bytewise.
  public let tensors: [Entry]

  /// One line for each file and tensor, with a newline at the end (MAN-20).
  public var bytes: [UInt8] {
    let members = [
      "\"nibble_manifest\": \(Self.version)",
      "\"writer\": " + JSON.string(writer).text(),
      "\"source\": " + (source?.json ?? .null).text(),
      "\"options\": " + (options.map(JSON.object) ?? .null).text(),
      "\"files\": " + Self.lines(files.map { ($0.path, $0.json) }),
      "\"tensors\": " + Self.lines(tensors.map { ($0.info.name, $0.json) }),
    ]
    return Array(("{\n  " + members.joined(separator: ",\n  ") + "\n}\n").utf8)
  }

  private static func lines(_ members: [(key: String, value: JSON)]) -> String {
    guard !members.isEmpty else { return "{}" }
    let lines = members.map { "    " + JSON.string($0.key).text() + ": " + $0.value.text() }
    return "{\n" + lines.joined(separator: ",\n") + "\n  }"
  }
}

extension Manifest.File {
  fileprivate var json: JSON {
    ["bytes": .integer(byteCount), holdsTensors ? "header_sha256" : "sha256": .string(digest)]
  }
}

extension Manifest.Entry {
  fileprivate var json: JSON {
    [
      "dtype": .string(info.dtype.rawValue),
      "shape": .array(info.shape.dimensions.map { .integer($0) }),
      "file": .string(file), "sha256": .string(digest),
    ]
  }
}

extension Manifest.Source {
  fileprivate var json: JSON {
    var sizes = JSONObject()
    for file in files { sizes[file.name] = .integer(file.byteCount) }
    return [
      "name": .string(name), "revision": revision.map(JSON.string) ?? .null,
      "files": .object(sizes),
    ]
  }
}
