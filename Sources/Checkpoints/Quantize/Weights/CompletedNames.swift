internal import Codecs
internal import Containers
internal import Models
internal import TensorCore

/// A dense source under the names of the whole model.
///
/// A decoder that was saved by itself has names without their beginning (`h.0.…` for `transformer.h.0.…`).
/// Loaders of dense weights put it before them; those of packed ones look for whole names.
struct CompletedNames {
  let source: Checkpoint
  /// The names that tensors have in the source, by the new ones.
  let originals: [String: String]

  /// Reads names only. Throws what opening a checkpoint throws.
  init(_ source: Checkpoint) throws {
    let names = source.config.model.map { config in
      Blueprint.completedNames(
        config: config.object, path: "\(source.path)/\(config.name)",
        names: Set(source.tensors.tensors.map(\.name)))
    }
    let completed = names ?? [:]
    originals = Dictionary(uniqueKeysWithValues: completed.map { ($1, $0) })
    self.source =
      completed.isEmpty
      ? source
      : try Checkpoint(
        path: source.path, tensors: ShardedTensors(source.tensors, renaming: completed),
        config: source.config)
  }

  /// Fates under the names that tensors have in the source.
  func restored(_ fates: [SourceFate]) -> [SourceFate] {
    fates.map { fate in
      guard let original = originals[fate.name] else { return fate }
      return SourceFate(
        name: original, file: nil,
        fate: fate.fate == .copied ? .converted(into: [fate.name]) : fate.fate)
    }
  }

  /// Worth knowing where names are not those of the source.
  var note: Finding? {
    guard let first = originals.min(by: { $0.key < $1.key }) else { return nil }
    let failure = Failure(
      .unsupported, at: source.path,
      "the decoder was saved by itself; names are written as the whole model has them",
      expected: first.key, found: first.value)
    return Finding(.note, failure)
  }
}
