public import TensorCore

/// A checkpoint split into files of limited size, and the index that says which holds what.
public struct ShardLayout: Sendable {
  /// One file to write.
  public struct Shard: Sendable {
    public let name: String
    public let layout: SafetensorsLayout
  }

  /// `model.safetensors` alone, or `model-00001-of-0000N.safetensors` and so on.
  public let shards: [Shard]
  /// The bytes of the index; nil where one file holds everything (SI-22).
  public let index: [UInt8]?
  /// The name of the index, whether or not there is one.
  public let indexName: String
  /// Bytes of all tensors, headers not counted.
  public let totalSize: Int

  /// Fills files in the given order until the next tensor would pass `maxShardBytes` of data; a
  /// tensor above the limit gets a file of its own, and leaves the one being filled open (SI-20).
  /// No tensors at all give one empty file. O(n log n).
  ///
  /// Throws `usage` where the limit is not positive, `cannotRepresent` as `SafetensorsLayout`.
  public init(
    tensors: [TensorInfo], metadata: [String: String] = [:], maxShardBytes: Int,
    stem: String = "model"
  ) throws {
    guard maxShardBytes > 0 else {
      throw Failure(
        .usage, at: "", "the shard size is not positive", found: "\(maxShardBytes)")
    }
    try SafetensorsWritable.checkUnique(tensors)
    let groups = Self.groups(of: tensors, maxShardBytes: maxShardBytes)
    shards = try groups.enumerated().map { position, group in
      Shard(
        name: Self.name(stem: stem, position: position, of: groups.count),
        layout: try SafetensorsLayout(tensors: group, metadata: metadata))
    }
    totalSize = try Self.totalSize(of: tensors)
    indexName = stem + ShardName.suffix + ".index.json"
    index = shards.count > 1 ? Self.index(of: shards, totalSize: totalSize) : nil
  }

  private static func groups(of tensors: [TensorInfo], maxShardBytes: Int) -> [[TensorInfo]] {
    var groups: [[TensorInfo]] = []
    var current: [TensorInfo] = []
    var room = maxShardBytes
    for tensor in tensors {
      guard tensor.byteCount <= maxShardBytes else {
        groups.append([tensor])
        continue
      }
      if tensor.byteCount > room {
        groups.append(current)
        current = []
        room = maxShardBytes
      }
      current.append(tensor)
      room -= tensor.byteCount
    }
    if !current.isEmpty || groups.isEmpty { groups.append(current) }
    return groups
  }

  private static func name(stem: String, position: Int, of count: Int) -> String {
    count == 1
      ? stem + ShardName.suffix : ShardName(stem: stem, number: position + 1, total: count).text
  }

  private static func totalSize(of tensors: [TensorInfo]) throws -> Int {
    var total = 0
    for tensor in tensors {
      guard let next = total.adding(tensor.byteCount) else {
        throw SafetensorsWritable.tooLarge(tensor)
      }
      total = next
    }
    return total
  }

  private static func index(of shards: [Shard], totalSize: Int) -> [UInt8] {
    let entries = shards.flatMap { shard in
      shard.layout.placements.map { ShardIndex.Entry(tensor: $0.info.name, file: shard.name) }
    }
    return ShardIndex.bytes(of: entries, metadata: JSONObject(["total_size": .integer(totalSize)]))
  }
}
