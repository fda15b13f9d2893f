internal import Containers
internal import TensorCore

/// What lies beside the weights of a checkpoint: tokenizer, card, custom code.
public struct SideFiles: Sendable {
  /// Paths relative to the folder, to be copied unchanged; sorted.
  public let carried: [String]
  /// Files that are left behind, with the reason.
  public let left: [(path: String, reason: String)]
  let folder: any ModelFolder

  private static let weightSuffixes = [
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".msgpack", ".npz",
  ]

  /// Lists the folder; reads no file. Throws `io`.
  init(of source: Checkpoint) throws {
    let folder = source.tensors.contents
    // A lone file in a folder that is no model has no companions.
    guard
      source.config.model != nil || source.tensors.container != nil
        || FileSystem.kind(of: source.path) == .folder
    else {
      self.init(none: folder)
      return
    }
    try self.init(
      folder: folder, model: Set(source.tensors.files.map(\.name)), isRewritten: Self.isRewritten)
  }

  /// The files of a folder but those of the `model` and those that are written anew.
  init(folder: any ModelFolder, model: Set<String>, isRewritten: (String) -> Bool) throws {
    self.folder = folder
    var carried: [String] = []
    var left: [(path: String, reason: String)] = []
    for path in try folder.paths() where !model.contains(path) {
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
  init(none folder: any ModelFolder) {
    (self.folder, carried, left) = (folder, [], [])
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
      guard let source = try self.folder.open(path) else {
        throw Failure(.io, at: self.folder.path + "/" + path, "the file is gone")
      }
      let file = try folder.makeFile(path)
      try file.copy(source)
      try file.commit(byteCount: source.size, sync: sync)
    }
  }
}

extension OutputFile {
  private static let bandBytes = 4 << 20

  /// Copies all bytes of a source to the start of this file.
  fileprivate func copy(_ source: any ByteSource) throws {
    if let source = source as? InputFile { return try copy(0..<source.size, of: source, to: 0) }
    for start in stride(from: 0, to: source.size, by: Self.bandBytes) {
      let end = min(start + Self.bandBytes, source.size)
      try write(source.contents(start..<end), at: start)
    }
  }
}
