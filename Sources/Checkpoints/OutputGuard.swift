internal import Containers
import TensorCore

/// Refuses outputs that would touch the source, or replace what is no checkpoint.
struct OutputGuard {
  /// The folder of the source.
  let source: String
  /// A model is a whole folder; a lone file leaves room for others beside it.
  let isLoneFile: Bool
  let output: String
  let force: Bool

  init(source: String, isLoneFile: Bool, output: String, force: Bool) {
    (self.source, self.isLoneFile, self.output, self.force) = (source, isLoneFile, output, force)
  }

  init(source: Checkpoint, output: String, force: Bool) {
    let isLoneFile =
      source.config.model == nil && source.tensors.container == nil
      && FileSystem.kind(of: source.path) == .file
    self.init(
      source: source.tensors.folder, isLoneFile: isLoneFile, output: output, force: force)
  }

  /// Throws `usage`.
  func check() throws {
    let folder = FileSystem.realPath(source) ?? source
    let name = Self.nameInRealFolder(output)
    let target = FileSystem.realPath(output) ?? name
    // The folder that is filled until the output takes its name is emptied first.
    let staging = FileSystem.realPath(name + ".unfinished") ?? name + ".unfinished"
    for path in [target, staging] where touches(folder, path) {
      throw Failure(
        .usage, at: output, "the output and the source must lie apart",
        expected: "a folder outside of \(folder)", found: path)
    }
    guard force, FileSystem.kind(of: output) == .folder else { return }
    let names = try FileSystem.names(in: output)
    let isCheckpoint =
      names.isEmpty || names.contains("config.json")
      || names.contains { $0.hasSuffix(".safetensors") }
    guard isCheckpoint else {
      throw Failure(
        .usage, at: output, "--force replaces checkpoints only",
        expected: "a folder with config.json or safetensors files", found: "other files")
    }
  }

  private func touches(_ folder: String, _ path: String) -> Bool {
    Self.contains(path, folder) || !isLoneFile && Self.contains(folder, path)
  }

  /// The output's own name, which need not be there yet, in its folder without links and dots.
  private static func nameInRealFolder(_ output: String) -> String {
    var path = output
    while path.utf8.count > 1 && path.hasSuffix("/") { path.removeLast() }
    return (FileSystem.realPath(path.folderName) ?? path.folderName) + "/" + path.fileName
  }

  /// Whether `inner` is `outer` or lies below it.
  private static func contains(_ outer: String, _ inner: String) -> Bool {
    inner == outer || inner.hasPrefix(outer.hasSuffix("/") ? outer : outer + "/")
  }
}
