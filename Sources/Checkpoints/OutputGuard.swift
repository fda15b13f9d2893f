internal import Containers
import TensorCore

/// Refuses outputs that would touch the source, or replace what is no checkpoint.
struct OutputGuard {
  let source: Checkpoint
  let output: String
  let force: Bool

  /// Throws `usage`.
  func check() throws {
    let folder = FileSystem.realPath(source.tensors.folder) ?? source.tensors.folder
    let parent = FileSystem.realPath(output.folderName) ?? output.folderName
    let target = FileSystem.realPath(output) ?? parent + "/" + output.fileName
    guard !Self.contains(folder, target) && !Self.contains(target, folder) else {
      throw Failure(
        .usage, at: output, "the output and the source must lie apart",
        expected: "a folder outside of \(folder)", found: target)
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

  /// Whether `inner` is `outer` or lies below it.
  private static func contains(_ outer: String, _ inner: String) -> Bool {
    inner == outer || inner.hasPrefix(outer.hasSuffix("/") ? outer : outer + "/")
  }
}
