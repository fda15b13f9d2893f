public import TensorCore

/// The tensors of one checkpoint, whether they lie in one safetensors file or in many.
public final class ShardedTensors: Sendable {
  /// One opened safetensors file.
  public struct File: Sendable {
    /// Its name in the folder.
    public let name: String
    public let source: any ByteSource
    public let header: SafetensorsHeader

    /// Bytes of the file.
    public var size: Int { source.size }
  }

  /// The folder, or the container, the files are in.
  public let folder: String
  /// All files there, those beside the tensors too.
  public let contents: any ModelFolder
  /// In the order of their names, bytewise.
  public let files: [File]
  /// Sorted by name, bytewise; each name once.
  public let tensors: [Tensor]
  /// nil where the files were found without one.
  public let index: ShardIndex?
  /// Safetensors files of an opened folder that are no part of the model; names.
  public let unused: [String]
  /// Broken rules that leave something to read. After a strict opening only findings that leave
  /// every tensor certain: a wrong `total_size` (SI-8), an index that is ignored (SI-10).
  public let problems: [Failure]

  /// The container, where that is what was opened.
  public var container: PackedQuantFile? { (contents as? PackedQuantFolder)?.container }

  /// Opens a folder, a container, one safetensors file, or an index and the files it names; reads
  /// headers only.
  ///
  /// A `strict` opening throws the first broken rule; otherwise broken rules are gathered in
  /// `problems`, unreadable files are left out, and of a tensor that stands in two files the one
  /// the index names is taken. Throws `malformed` or `unsupported` with an SI, ST or JSON rule,
  /// `io`. O(n log n) for n tensors.
  public init(opening path: String, strict: Bool = true) throws {
    var problems = ShardProblems(strict: strict)
    let selection = try ShardSelection(path: path, problems: &problems)
    folder = selection.folder
    contents = selection.contents
    index = selection.index
    unused = selection.unused
    files = try Self.open(selection, problems: &problems)
    let census = ShardCensus(files: files)
    try census.checkUnique(problems: &problems)
    if let index { try census.check(against: index, problems: &problems) }
    tensors = census.tensors(preferring: index)
    self.problems = problems.list
  }

  /// What `base` is, with other tensors from other files.
  init(like base: ShardedTensors, files: [File], tensors: [Tensor]) {
    folder = base.folder
    contents = base.contents
    index = base.index
    unused = base.unused
    problems = base.problems
    (self.files, self.tensors) = (files, tensors)
  }

  /// The tensor of that name, compared bytewise. O(log n).
  public subscript(name: String) -> Tensor? {
    tensors.position(of: name, by: \.name).map { tensors[$0] }
  }

  private static func open(
    _ selection: ShardSelection, problems: inout ShardProblems
  ) throws -> [File] {
    var files: [File] = []
    for name in selection.names {
      do {
        files.append(try open(name, of: selection))
      } catch let failure as Failure {
        try problems.add(failure)
      }
    }
    return files
  }

  private static func open(_ name: String, of selection: ShardSelection) throws -> File {
    guard let source = try selection.contents.open(name) else {
      guard let index = selection.index else {
        throw Failure(.io, at: selection.folder + "/" + name, "cannot be opened")
      }
      throw Failure(
        .malformed, at: index.path, "a shard is missing", expected: "\"\(name)\"", rule: "SI-4",
        remedy: "fetch the file again")
    }
    let header = try SafetensorsHeader(reading: source)
    try (source as? RestoredFile)?.check(header)
    return File(name: name, source: source, header: header)
  }
}
