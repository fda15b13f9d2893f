public import TensorCore

/// A `*.safetensors.index.json`: which file of a folder holds each tensor (`Formats/shard-index.md`).
public struct ShardIndex: Sendable {
  /// One line of the weight map.
  public struct Entry: Sendable, Equatable {
    public let tensor: String
    public let file: String

    public init(tensor: String, file: String) {
      (self.tensor, self.file) = (tensor, file)
    }
  }

  /// The file the index was read from.
  public let path: String
  /// What stands under `metadata`; empty where it is absent.
  public let metadata: JSONObject
  /// The weight map, sorted by tensor name bytewise.
  public let entries: [Entry]
  /// The shards it names, each once, sorted bytewise.
  public let files: [String]

  /// Reads and checks one index on its own; no shard is opened. O(n log n).
  ///
  /// Throws `malformed` with SI-1 … SI-3 or a JSON rule, `io`.
  public init(path: String) throws {
    let limits = JSONLimits.config
    let bytes = try FileSystem.contents(of: path, limit: limits.maxBytes)
    try self.init(parsing: bytes, at: path, limits: limits)
  }

  /// The same of an index in a folder or a container.
  init(_ name: String, in folder: any ModelFolder) throws {
    let path = folder.path + "/" + name
    let limits = JSONLimits.config
    guard let bytes = try folder.contents(of: name, limit: limits.maxBytes) else {
      throw Failure(.io, at: path, "cannot be opened")
    }
    try self.init(parsing: bytes, at: path, limits: limits)
  }

  init(parsing bytes: [UInt8], at path: String, limits: JSONLimits = .config) throws {
    let top = try JSON(parsing: bytes, at: path, limits: limits)
    guard let map = top["weight_map"]?.object else {
      throw Failure(
        .malformed, at: path, "not a shard index", expected: "an object with a \"weight_map\"",
        rule: "SI-1")
    }
    guard let metadata = Self.metadata(top["metadata"]) else {
      throw Failure(.malformed, at: path, "\"metadata\" is not an object", rule: "SI-1")
    }
    self.path = path
    self.metadata = metadata
    entries = try map.members.map { member in
      guard let file = member.value.string else {
        throw Failure(
          .malformed, at: path, "the shard of \"\(member.key)\" is not a string", rule: "SI-1")
      }
      return Entry(tensor: member.key, file: file)
    }.sorted { $0.tensor.precedesBytewise($1.tensor) }
    files = Self.distinct(entries)
    for file in files { try Self.check(file, at: path) }
  }

  /// `metadata.total_size`: bytes of all tensors together, as the writer counted; nil where absent.
  public var totalSize: JSON? { metadata["total_size"] }

  /// The same as a number, where it is whole: also where it is spelled `1e3` or `1000.0`, as some
  /// writers count in floats.
  public var totalBytes: Int? {
    totalSize.flatMap { $0.int ?? $0.double.flatMap(Int.init(exactly:)) }
  }

  /// The shard named for a tensor. O(log n).
  public subscript(tensor: String) -> String? {
    entries.position(of: tensor, by: \.tensor).map { entries[$0].file }
  }

  /// SI-21: two blanks a level, keys sorted bytewise, a newline at the end. Each tensor once.
  public static func bytes(of entries: [Entry], metadata: JSONObject) -> [UInt8] {
    var map = JSONObject()
    for entry in entries.sorted(by: { $0.tensor.precedesBytewise($1.tensor) }) {
      map[entry.tensor] = .string(entry.file)
    }
    let top: JSON = ["metadata": .object(metadata), "weight_map": .object(map)]
    return Array((top.text(indent: 2) + "\n").utf8)
  }

  private static func metadata(_ value: JSON?) -> JSONObject? {
    guard let value, !value.isNull else { return JSONObject() }
    return value.object
  }

  private static func distinct(_ entries: [Entry]) -> [String] {
    // Neighbours mostly share a file: what is left to sort is short.
    let runs = withoutRepeats(entries.lazy.map(\.file))
    return withoutRepeats(runs.sorted { $0.precedesBytewise($1) })
  }

  private static func withoutRepeats(_ names: some Sequence<String>) -> [String] {
    var distinct: [String] = []
    for name in names where distinct.last.map({ !$0.equalsBytewise(name) }) ?? true {
      distinct.append(name)
    }
    return distinct
  }

  /// SI-2, SI-3: a shard is a plain `.safetensors` name beside the index, so that an index can't
  /// reach out of its folder.
  private static func check(_ file: String, at path: String) throws {
    guard !file.utf8.contains(UInt8(ascii: "/")), !file.utf8.contains(0), file != ".." else {
      throw Failure(
        .malformed, at: path, "a shard outside of the folder", expected: "a plain file name",
        found: "\"\(file)\"", rule: "SI-2")
    }
    guard file.hasSuffix(".safetensors"), file.utf8.count <= 255 else {
      throw Failure(
        .malformed, at: path, "a shard's name is not that of a safetensors file",
        expected: "a name of at most 255 bytes that ends in .safetensors", found: "\"\(file)\"",
        rule: "SI-3")
    }
  }
}
