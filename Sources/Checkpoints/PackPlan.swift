internal import Codecs
public import Containers
internal import Kernels
internal import TensorCore

/// A packing as a value: every file of a model, how its tensors are taken apart, and which layers
/// are held in neutral terms (`Formats/packed-quant.md`).
public struct PackPlan: Sendable {
  public struct Options: Sendable {
    /// The level at which zstd searches for matches, 1 … 22; from 10 on everything is tried on
    /// everything.
    public var level = 3
    public var threads = Processor.cores
    public var sync = true
    /// Whether a container that stands at the output is replaced.
    public var force = false

    public init() {}
  }

  /// The folder, container or file that is packed.
  public let path: String
  public let options: Options
  /// Sorted by path.
  public let sources: [PackedQuantSource]
  /// Layers whose tensors their codec makes again, byte for byte, from codes, scales and offsets.
  public let layers: [PackedQuantDirectory.Layer]
  /// Layers that are kept as raw tensors, and why.
  public let raw: [(name: String, reason: String)]
  /// What the user should know.
  public let notes: [String]

  /// Reads headers and, to see whether layers are made again, all packed layers. Throws `io`, and
  /// `usage` where there is nothing to pack.
  public init(_ path: String, _ options: Options = Options()) throws {
    let files = try Self.files(of: path)
    guard !files.isEmpty else {
      throw Failure(.usage, at: path, "there is nothing to pack", expected: "a model's files")
    }
    var notes: [String] = []
    let opened = try files.map { try PackedInput($0.path, $0.source, &notes) }
    let neutral = try NeutralLayers(
      path, PackedInput.numbers(of: opened), threads: options.threads)
    self.path = path
    self.options = options
    self.notes = notes
    sources = opened.map { $0.packed(neutral.transforms) }
    layers = neutral.layers
    raw = neutral.raw
  }

  /// The files that `path` stands for: a folder's, a container's, those beside an index, or itself.
  private static func files(of path: String) throws -> [(path: String, source: any ByteSource)] {
    let folder: (any ModelFolder, [String])
    if PackedQuant.isContainer(path) {
      let container = PackedQuantFolder(try PackedQuantFile(path: path))
      folder = (container, container.container.directory.files.map(\.path))
    } else if FileSystem.kind(of: path) == .folder || path.hasSuffix(".index.json") {
      let disk = DiskFolder(FileSystem.kind(of: path) == .folder ? path : path.folderName)
      let paths = try disk.pathsWithHidden().filter { $0 != OutputFolder.journalName }
      folder = (disk, paths)
    } else {
      return [(path.fileName, try InputFile(path: path))]
    }
    return try folder.1.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.compactMap { name in
      try folder.0.open(name).map { (name, $0) }
    }
  }

  /// Bytes of all files.
  public var byteCount: Int { sources.reduce(0) { $0 + $1.source.size } }

  /// Bytes of layers in neutral terms, codes or not.
  public var tensors: Int {
    sources.reduce(0) { $0 + $1.blobs.count { $0.tensor != nil } }
  }
}

/// A file to be packed, opened.
struct PackedInput {
  let path: String
  let source: any ByteSource
  /// nil where it holds no tensors.
  let header: SafetensorsHeader?

  init(_ path: String, _ source: any ByteSource, _ notes: inout [String]) throws {
    (self.path, self.source) = (path, source)
    guard path.hasSuffix(".safetensors") else {
      header = nil
      return
    }
    do {
      header = try SafetensorsHeader(reading: source)
    } catch let failure as Failure where failure.kind != .io {
      header = nil
      notes.append("\(path) is packed as plain bytes: \(failure.what)")
    }
  }

  /// The numbers of all tensors, by where they are.
  static func numbers(of inputs: [PackedInput]) -> [[UInt8]: Int] {
    var numbers: [[UInt8]: Int] = [:]
    var count = 0
    for input in inputs {
      for tensor in input.header?.tensors ?? [] {
        numbers[Self.key(tensor)] = count
        count += 1
      }
    }
    return numbers
  }

  /// By bytes: two names may be one text.
  static func key(_ tensor: Tensor) -> [UInt8] {
    Array(tensor.source.path.utf8) + [0] + Array(tensor.name.utf8)
  }

  func packed(_ transforms: [[UInt8]: PackedTransform]) -> PackedQuantSource {
    guard let header else { return PackedQuantSource(path: path, plain: source) }
    return PackedQuantSource(path: path, source: source, header: header) { tensor in
      transforms[Self.key(tensor)] ?? PackedTransform(for: tensor)
    }
  }
}

extension PackedTransform {
  /// What suits a dense tensor: a list of whole numbers is one of indices, and ascends.
  init(for tensor: Tensor) {
    switch (tensor.dtype, tensor.shape.rank) {
    case (.i32, 1), (.u32, 1): self = .differences(width: 4)
    case (.i64, 1), (.u64, 1): self = .differences(width: 8)
    default: self.init(for: tensor.dtype)
    }
  }
}
