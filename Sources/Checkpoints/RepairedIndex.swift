import Containers
import TensorCore

/// The index of a repaired checkpoint: as it was where it is right, else made from the shards.
struct RepairedIndex {
  private(set) var file: (name: String, bytes: [UInt8])?
  private(set) var mends: [Mend] = []

  private static let standardName = "model.safetensors.index.json"

  /// Throws `malformed` where the sizes of all tensors overflow, `io`.
  init(_ source: SalvagedShards, shards: [RepairPlan.Shard]) throws {
    let isAlone = shards.count == 1
    guard !source.isLoneFile, !isAlone || source.indexName != nil else { return }
    // One file of the usual name needs none (SI-22); an index that names it may stay.
    let keeps = source.index?.files == shards.map(\.name)
    if isAlone, shards[0].name == "model.safetensors", !keeps { return }
    let entries = shards.flatMap { shard in
      shard.tensors.map { ShardIndex.Entry(tensor: $0.name, file: shard.name) }
    }
    let total = try Self.totalSize(shards.flatMap(\.tensors))
    let name = source.indexName ?? Self.standardName
    let place = source.folder + "/" + name
    if let index = source.index {
      mends = Self.mends(index, entries: entries, total: total)
      let isRight =
        mends.isEmpty && index.files.allSatisfy { file in shards.contains { $0.name == file } }
      file = (
        name,
        isRight
          ? try FileSystem.contents(of: index.path, limit: JSONLimits.config.maxBytes)
          : ShardIndex.bytes(of: entries, metadata: Self.metadata(of: index, total: total))
      )
    } else {
      if source.indexName == nil {
        mends = [Mend(at: place, "a missing index made", rule: "SI-21")]
      }
      let metadata = JSONObject(["total_size": .integer(total)])
      file = (name, ShardIndex.bytes(of: entries, metadata: metadata))
    }
  }

  private static func totalSize(_ tensors: [Tensor]) throws -> Int {
    var total = 0
    for tensor in tensors {
      guard let next = total.adding(tensor.byteCount) else {
        throw Failure(
          .malformed, at: tensor.place, "the sizes of all tensors overflow", rule: "SI-8")
      }
      total = next
    }
    return total
  }

  private static func metadata(of index: ShardIndex, total: Int) -> JSONObject {
    var metadata = index.metadata
    metadata["total_size"] = .integer(total)
    return metadata
  }

  /// What the index says wrong of the shards. Tensors it maps to a shard that was renamed or whose
  /// copy was dropped count as mapped anew.
  private static func mends(
    _ index: ShardIndex, entries: [ShardIndex.Entry], total: Int
  ) -> [Mend] {
    var mends: [Mend] = []
    let added = entries.count { index[$0.tensor] == nil }
    let moved = entries.count { entry in index[entry.tensor].map { $0 != entry.file } ?? false }
    if moved > 0 {
      mends.append(
        Mend(at: index.path, "\(moved) tensors mapped to the file they are in", rule: "SI-5"))
    }
    if added > 0 {
      mends.append(Mend(at: index.path, "\(added) tensors added to the index", rule: "SI-6"))
    }
    if index.totalBytes != total {
      let old = index.totalSize.map { "\($0.text().prefix(40)) made" } ?? "added:"
      mends.append(Mend(at: index.path, "total_size \(old) \(total)", rule: "SI-8"))
    }
    return mends
  }
}
