internal import Containers
internal import TensorCore

/// What lies beside the weights of a checkpoint: tokenizer, card, custom code.
public struct SideFiles: Sendable {
  /// Paths relative to the folder, to be copied unchanged; sorted.
  public let carried: [String]
  /// Files that are left behind, with the reason.
  public let left: [(path: String, reason: String)]
  let folder: String

  private static let weightSuffixes = [
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack", ".npz",
  ]

  /// Lists the folder; reads no file. Throws `io`.
  init(of source: Checkpoint) throws {
    let folder = source.tensors.folder
    // A lone file in a folder that is no model has no companions.
    guard source.config.model != nil || FileSystem.kind(of: source.path) == .folder else {
      self.init(none: folder)
      return
    }
    try self.init(
      folder: folder, model: Set(source.tensors.files.map(\.name)), isRewritten: Self.isRewritten)
  }

  /// The files of a folder but those of the `model` and those that are written anew.
  init(folder: String, model: Set<String>, isRewritten: (String) -> Bool) throws {
    self.folder = folder
    var carried: [String] = []
    var left: [(path: String, reason: String)] = []
    for path in try Self.paths(in: folder) where !model.contains(path) {
      if let reason = Self.reasonToLeave(path) {
        left.append((path, reason))
      } else if !isRewritten(path) {
        carried.append(path)
      }
    }
    self.carried = carried
    self.left = left
  }

  /// No companions: those of a lone file.
  init(none folder: String) {
    (self.folder, carried, left) = (folder, [], [])
  }

  /// Every file below a folder by its path from there, hidden ones left out; sorted in each folder.
  static func paths(in folder: String) throws -> [String] {
    try paths(in: folder, below: "", within: [])
  }

  /// Links are followed, as download caches are made of them, but not into a folder `within` which
  /// this one lies.
  private static func paths(
    in folder: String, below prefix: String, within parents: [FileIdentity]
  ) throws -> [String] {
    guard let identity = FileSystem.identity(of: folder), !parents.contains(identity) else {
      return []
    }
    return try FileSystem.names(in: folder).filter { !$0.hasPrefix(".") }.flatMap { name in
      let path = folder + "/" + name
      return switch FileSystem.kind(of: path) {
      case .file: [prefix + name]
      case .folder:
        try paths(in: path, below: prefix + name + "/", within: parents + [identity])
      case .other, nil: [String]()
      }
    }
  }

  /// A manifest speaks of the source's bytes: it would be wrong beside others (MAN-22).
  private static func isRewritten(_ path: String) -> Bool {
    path == "config.json" || path.hasSuffix(".safetensors.index.json")
      || ModelConfig.quantizationNames.contains(path) || path == Manifest.fileName
  }

  private static func reasonToLeave(_ path: String) -> String? {
    weightSuffixes.contains { path.hasSuffix($0) } ? "weights that are no part of the model" : nil
  }

  func copy(to folder: OutputFolder, sync: Bool) throws {
    var made: Set<String> = []
    for path in carried {
      let parent = path.folderName
      if parent != "." && made.insert(parent).inserted { try folder.makeSubfolder(parent) }
      let source = try InputFile(path: self.folder + "/" + path)
      let file = try folder.makeFile(path)
      try file.copy(0..<source.size, of: source, to: 0)
      try file.commit(byteCount: source.size, sync: sync)
    }
  }
}
