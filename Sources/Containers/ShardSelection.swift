internal import TensorCore

/// Which files make up the model that a path names (`Formats/shard-index.md`, "Choosing the files").
struct ShardSelection {
  let contents: any ModelFolder
  /// The names of the files in the folder, in the order of opening.
  let names: [String]
  var index: ShardIndex?
  /// Other safetensors files of the folder, which belong to something else.
  var unused: [String] = []

  var folder: String { contents.path }

  private static let standardFile = "model.safetensors"
  private static let standardIndex = "model.safetensors.index.json"

  /// Looks at `path`: a folder, one safetensors file, or an index. Opens the index only.
  init(path: String, problems: inout ShardProblems) throws {
    switch FileSystem.kind(of: path) {
    case .folder?:
      var folder = path
      while folder.utf8.count > 1 && folder.hasSuffix("/") { folder.removeLast() }
      try self.init(contents: DiskFolder(folder), problems: &problems)
    case .file? where PackedQuant.isContainer(path):
      let container = try PackedQuantFile(path: path)
      try self.init(contents: PackedQuantFolder(container), problems: &problems)
    case .file? where path.hasSuffix(".index.json"):
      self.init(DiskFolder(path.folderName), index: try ShardIndex(path: path))
    case .file?:
      self.init(DiskFolder(path.folderName), names: [path.fileName])
    case .other?:
      throw Failure(.io, at: path, "neither a file nor a folder")
    case nil:
      throw Failure(.io, at: path, "there is no such file or folder")
    }
  }

  private init(_ contents: any ModelFolder, names: [String], index: ShardIndex? = nil) {
    (self.contents, self.names, self.index) = (contents, names, index)
  }

  private init(_ contents: any ModelFolder, index: ShardIndex) {
    self.init(contents, names: index.files, index: index)
  }

  private init(contents: any ModelFolder, problems: inout ShardProblems) throws {
    let names = try contents.names().filter { !$0.hasPrefix(".") }
    let files = names.filter { $0.hasSuffix(ShardName.suffix) }
    self = try Self.chosen(in: contents, names: names, files: files, problems: &problems)
    let used = Set(self.names)
    unused = files.filter { !used.contains($0) }
  }

  private static func chosen(
    in contents: any ModelFolder, names: [String], files: [String], problems: inout ShardProblems
  ) throws -> ShardSelection {
    let indices = names.filter { $0.hasSuffix(".safetensors.index.json") }
    if indices.contains(standardIndex) {
      return try standard(in: contents, files: files, problems: &problems)
    }
    if files.contains(standardFile) { return ShardSelection(contents, names: [standardFile]) }
    if indices.count > 1 {
      throw Failure(
        .malformed, at: contents.path, "several indices", found: indices.joined(separator: ", "),
        rule: "SI-9", remedy: "name one of them")
    }
    if let index = indices.first {
      return ShardSelection(contents, index: try ShardIndex(index, in: contents))
    }
    guard !files.isEmpty else { throw nothing(in: contents.path, names: names) }
    let numbered = try numbered(files, in: contents.path, problems: &problems)
    return ShardSelection(contents, names: numbered ?? files)
  }

  /// The index of the usual name, unless it was left behind by a model now in one file (SI-10).
  private static func standard(
    in contents: any ModelFolder, files: [String], problems: inout ShardProblems
  ) throws -> ShardSelection {
    let index = try ShardIndex(standardIndex, in: contents)
    guard files.contains(standardFile), !index.files.contains(standardFile) else {
      return ShardSelection(contents, index: index)
    }
    problems.note(
      Failure(
        .malformed, at: index.path, "the index is ignored: the folder also holds \(standardFile)",
        rule: "SI-10", remedy: "remove one of them, or open the index by its name"))
    return ShardSelection(contents, names: [standardFile])
  }

  /// The numbered shards among `files` where no index tells; nil where none is numbered.
  private static func numbered(
    _ files: [String], in folder: String, problems: inout ShardProblems
  ) throws -> [String]? {
    let all = files.compactMap(ShardName.init)
    let candidates = all.contains { $0.stem == "model" } ? all.filter { $0.stem == "model" } : all
    guard let first = candidates.first else { return nil }
    guard candidates.allSatisfy({ $0.stem == first.stem && $0.total == first.total }) else {
      throw Failure(
        .malformed, at: folder, "shards of several models and no index",
        found: candidates.map(\.text).joined(separator: ", "), rule: "SI-9",
        remedy: "keep one set of shards")
    }
    if candidates.count != first.total {
      let present = Set(candidates.map(\.number))
      let missing = (1...first.total).first { !present.contains($0) } ?? first.total
      let name = ShardName(stem: first.stem, number: missing, total: first.total).text
      try problems.add(
        Failure(
          .malformed, at: folder, "a shard is missing", expected: "\(first.total) shards",
          found: "\(candidates.count), without \(name)", rule: "SI-12"))
    }
    return candidates.map(\.text)
  }

  private static func nothing(in folder: String, names: [String]) -> Failure {
    let other = names.first { name in
      [".bin", ".pt", ".pth", ".gguf", ".npz"].contains { name.hasSuffix($0) }
    }
    return Failure(
      other == nil ? .malformed : .unsupported, at: folder, "no safetensors file in the folder",
      found: other.map { "\"\($0)\"" }, rule: "SI-11")
  }
}
