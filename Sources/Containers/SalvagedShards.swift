internal import TensorCore

/// The files of a checkpoint that may be damaged, and as much of its index as can be read.
///
/// `ShardedTensors` is the strict reader. Here an index that is wrong is passed over where the files
/// tell for certain what belongs to the model: a complete set of numbered shards, or one file alone.
public struct SalvagedShards: Sendable {
  public struct File: Sendable {
    public let name: String
    public let header: SalvagedHeader
  }

  public let folder: String
  /// Whether one file was named, and not a folder or an index.
  public let isLoneFile: Bool
  /// In the order of their names, bytewise; at least one.
  public let files: [File]
  /// The name of the index that is there; nil where none is.
  public let indexName: String?
  /// nil where there is none, or where it can't be read.
  public let index: ShardIndex?
  /// Files of the folder without a tensor that were not chosen either; sorted.
  public let emptyFiles: [String]
  /// What was passed over in choosing the files and in their headers.
  public let mends: [Mend]

  /// Reads headers and the index, and holes between tensors. Throws the one thing that can't be
  /// mended, or lists them: `malformed`, `unsupported`, `io`.
  public init(opening path: String) throws {
    let choice = try Choice(path: path)
    folder = choice.folder
    isLoneFile = choice.isLoneFile
    indexName = choice.indexName
    index = choice.index
    files = try Self.open(choice)
    let folder = choice.folder
    emptyFiles = try choice.others().filter { Self.isEmpty(folder + "/" + $0) }
    mends =
      choice.mends + files.flatMap(\.header.mends)
      + emptyFiles.map {
        Mend(
          at: folder + "/" + $0, "a file without tensors that no index names dropped", rule: "SI-20"
        )
      }
    try checkComplete()
  }

  /// Whether a file holds no byte, or a header of no tensor; reads the header. What can't be read may hold some.
  private static func isEmpty(_ path: String) -> Bool {
    guard let file = try? InputFile(path: path) else { return false }
    guard file.size > 0 else { return true }
    return (try? SalvagedHeader(reading: file))?.tensors.isEmpty ?? false
  }

  private static func open(_ choice: Choice) throws -> [File] {
    var failures: [Failure] = []
    var files: [File] = []
    for name in choice.names {
      do {
        let source = try InputFile(path: choice.folder + "/" + name)
        files.append(File(name: name, header: try SalvagedHeader(reading: source)))
      } catch let failure as Failure {
        failures.append(failure)
      }
    }
    guard let first = failures.first else { return files }
    guard failures.count > 1 else { throw first }
    throw Failure(
      first.kind, at: choice.folder, "\(failures.count) files can't be mended", rule: first.rule,
      details: failures.prefix(20).map(\.description))
  }

  /// A tensor that only the index knows of is lost: nothing can bring it back.
  private func checkComplete() throws {
    guard let index else { return }
    let names = files.flatMap(\.header.tensors).map(\.name)
      .sorted { $0.precedesBytewise($1) }
    let lost = index.entries.filter { names.position(of: $0.tensor, by: { $0 }) == nil }
    guard let first = lost.first else { return }
    throw Failure(
      .malformed, at: index.path, "tensors of the index are in no file",
      expected: "\"\(first.tensor)\" in \"\(first.file)\"", found: "\(lost.count) lost",
      rule: "SI-5", remedy: "fetch the files again")
  }
}

/// Which files belong to the model.
private struct Choice {
  let folder: String
  var isLoneFile = false
  var names: [String] = []
  var indexName: String?
  var index: ShardIndex?
  var mends: [Mend] = []
  /// Why the index can't be read.
  private var indexFailure: Failure?

  private static let standardFile = "model.safetensors"
  private static let standardIndex = "model.safetensors.index.json"

  init(path: String) throws {
    switch FileSystem.kind(of: path) {
    case .folder?:
      var folder = path
      while folder.utf8.count > 1 && folder.hasSuffix("/") { folder.removeLast() }
      self.folder = folder
      try chooseIndex()
    case .file? where path.hasSuffix(".index.json"):
      folder = path.folderName
      indexName = path.fileName
    case .file?:
      folder = path.folderName
      isLoneFile = true
      names = [path.fileName]
      return
    default:
      throw Failure(.io, at: path, "there is no such file or folder")
    }
    try readIndex()
    try chooseFiles()
  }

  /// Files of tensors beside the chosen ones; none beside a lone file.
  func others() throws -> [String] {
    guard !isLoneFile else { return [] }
    return try FileSystem.names(in: folder).filter {
      !$0.hasPrefix(".") && $0.hasSuffix(ShardName.suffix) && !names.contains($0)
    }
  }

  /// The index of the usual name, or the only one.
  private mutating func chooseIndex() throws {
    let indices = try FileSystem.names(in: folder).filter {
      !$0.hasPrefix(".") && $0.hasSuffix(".safetensors.index.json")
    }
    if indices.contains(Self.standardIndex) {
      indexName = Self.standardIndex
    } else if indices.count == 1 {
      indexName = indices[0]
    }
  }

  private mutating func readIndex() throws {
    guard let indexName else { return }
    do {
      index = try ShardIndex(path: folder + "/" + indexName)
    } catch let failure as Failure where failure.kind == .malformed {
      indexFailure = failure
    }
  }

  private mutating func chooseFiles() throws {
    let files = try FileSystem.names(in: folder).filter {
      !$0.hasPrefix(".") && $0.hasSuffix(ShardName.suffix)
    }
    let set = Self.completeSet(among: files)
    if let index {
      try chooseFiles(by: index, files, set)
    } else if let failure = indexFailure {
      // Without the index only a set that counts itself, or a single file, is certain.
      guard files.count == 1 || set?.count == files.count else { throw failure }
      names = files
      mends.append(
        Mend(
          at: folder + "/" + (indexName ?? ""), "an index that can't be read made anew",
          rule: failure.rule ?? "SI-1"))
    } else {
      // The strict choice has nothing to overlook here: it names what is wrong.
      var problems = ShardProblems(strict: true)
      names = try ShardSelection(path: folder, problems: &problems).names
    }
  }

  private mutating func chooseFiles(
    by index: ShardIndex, _ files: [String], _ set: [String]?
  ) throws {
    if files.contains(Self.standardFile), indexName == Self.standardIndex,
      !index.files.contains(Self.standardFile)
    {
      names = [Self.standardFile]
      mends.append(
        Mend(
          at: index.path, "the index of other files than \(Self.standardFile) dropped",
          rule: "SI-10"))
      (self.index, indexName) = (nil, nil)
      return
    }
    if let missing = index.files.first(where: { !files.contains($0) }) {
      guard let set else {
        throw Failure(
          .malformed, at: index.path, "a shard is missing", expected: "\"\(missing)\"",
          rule: "SI-4", remedy: "fetch the file again")
      }
      names = set
      mends.append(
        Mend(at: index.path, "the index names \"\(missing)\", which is not there", rule: "SI-4"))
    } else if let set, index.files.allSatisfy(set.contains) {
      names = set
    } else {
      names = index.files
    }
    guard !names.isEmpty else {
      throw Failure(.malformed, at: index.path, "the index names no file", rule: "SI-11")
    }
  }

  /// The numbered shards among some files, if they are of one model and all there.
  private static func completeSet(among files: [String]) -> [String]? {
    let numbered = files.compactMap { name in ShardName(name).map { (name, $0) } }
    guard let first = numbered.first?.1,
      numbered.allSatisfy({ $0.1.stem == first.stem && $0.1.total == first.total }),
      numbered.count == first.total, Set(numbered.map(\.1.number)).count == first.total
    else { return nil }
    return numbered.map(\.0)
  }
}
