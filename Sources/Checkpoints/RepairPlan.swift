public import Containers
internal import Kernels
public import TensorCore

/// A damaged checkpoint as it will be written anew: what is set right, and every file, decided
/// before anything is written.
public struct RepairPlan: Sendable {
  /// One file to write, its tensors in the order of their bytes.
  struct Shard: Sendable {
    let name: String
    let layout: SafetensorsLayout
    let tensors: [Tensor]
  }

  public let source: SalvagedShards
  /// What is set right; empty where the checkpoint is in order as it is.
  public let mends: [Mend]
  let shards: [Shard]
  /// The bytes of the index and its name; nil where one file holds everything.
  let index: (name: String, bytes: [UInt8])?
  let sideFiles: SideFiles

  /// Reads headers and the index, and of tensors only those that are there twice.
  ///
  /// Throws `malformed` with the rule of the first thing that can't be mended without guessing,
  /// `unsupported`, `io`.
  public init(opening path: String, threads: Int = Processor.cores) throws {
    guard !PackedQuant.isContainer(path) else {
      throw Failure(
        .usage, at: path, "a container is not mended in place", remedy: "nibble unpack it first")
    }
    source = try SalvagedShards(opening: path)
    let twins = try Twins(source, threads: threads)
    let kept = Self.withoutEmpty(twins.files)
    let files = try kept.files.map { try Self.shard($0) }
    let indexing = try RepairedIndex(source, shards: files.map(\.shard))
    shards = files.map(\.shard)
    index = indexing.file
    mends = source.mends + twins.mends + kept.mends + files.compactMap(\.mend) + indexing.mends
    let folder = DiskFolder(source.folder)
    sideFiles =
      source.isLoneFile
      ? SideFiles(none: folder)
      : try SideFiles(folder: folder, model: Set(source.files.map(\.name) + source.emptyFiles)) {
        path in
        path == Manifest.fileName || path.hasSuffix(".safetensors.index.json")
      }
  }

  /// Files and bytes that will be written, without the index and what is carried.
  public var files: [(name: String, byteCount: Int)] {
    shards.map { ($0.name, $0.layout.byteCount) }
  }

  var tensors: [Tensor] { shards.flatMap(\.tensors) }

  /// Drops shards without tensors, and numbers those that stay anew where they were numbered.
  private static func withoutEmpty(
    _ files: [Twins.File]
  ) -> (files: [Twins.File], mends: [Mend]) {
    var kept = files.filter { !$0.tensors.isEmpty }
    guard !kept.isEmpty, kept.count < files.count else { return (files, []) }
    let mends = files.filter(\.tensors.isEmpty).map {
      Mend(at: $0.header.source.path, "a file without tensors dropped", rule: "SI-20")
    }
    if let names = ShardNumbering.names(for: kept.map(\.name)) {
      for position in kept.indices { kept[position].name = names[position] }
    }
    return (kept, mends)
  }

  /// The file with its header in canonical form.
  private static func shard(_ file: Twins.File) throws -> (shard: Shard, mend: Mend?) {
    let path = file.header.source.path
    var metadata: [String: String] = [:]
    for member in file.header.metadata.members { metadata[member.key] = member.value.string }
    guard metadata.count == file.header.metadata.members.count else {
      throw Failure(
        .malformed, at: path, "two keys of the metadata differ in Unicode normalisation only",
        rule: "ST-5")
    }
    let layout = try SafetensorsLayout(tensors: file.tensors.map(\.info), metadata: metadata)
    let placed = layout.placements.map { $0.info.name }
    let shard = Shard(
      name: file.name, layout: layout, tensors: sorted(file.tensors, as: placed))
    guard file.header.mends.isEmpty, !file.isThinned else { return (shard, nil) }
    return (shard, try mend(layout, of: file, placed))
  }

  /// Tensors in the order of these names, which are theirs.
  private static func sorted(_ tensors: [Tensor], as names: [String]) -> [Tensor] {
    let byName = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    let places = names.indices.sorted {
      names[$0].utf8.lexicographicallyPrecedes(names[$1].utf8)
    }
    var result = tensors
    for (tensor, place) in zip(byName, places) { result[place] = tensor }
    return result
  }

  /// What is not as we write it, though readers may take it.
  private static func mend(
    _ layout: SafetensorsLayout, of file: Twins.File, _ placed: [String]
  ) throws -> Mend? {
    let source = file.header.source
    let offset = file.header.dataOffset
    let count = min(layout.header.count, source.size)
    guard try offset != layout.header.count || source.contents(0..<count) != layout.header else {
      return nil
    }
    let isOrdered = zip(file.tensors, placed).allSatisfy { $0.name.utf8.elementsEqual($1.utf8) }
    if !isOrdered {
      return Mend(at: source.path, "tensors put in canonical order", rule: "ST-30")
    }
    return offset % 8 == 0
      ? Mend(at: source.path, "the header put in canonical form", rule: "ST-32")
      : Mend(at: source.path, "the header padded to a multiple of 8 bytes", rule: "ST-31")
  }
}

extension RepairPlan {
  public var json: JSON {
    [
      "source": .string(source.folder), "mends": .array(mends.map(\.json)),
      "files": .array(files.map { ["name": .string($0.name), "bytes": .integer($0.byteCount)] }),
      "index": index.map { .string($0.name) } ?? .null,
      "tensors": .integer(tensors.count), "side_files": .strings(sideFiles.carried),
      "left_behind": .array(
        sideFiles.left.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
    ]
  }
}
