public import TensorCore

/// Where every byte of a safetensors file will stand, known before anything is written.
///
/// The same tensors and metadata give the same header, in whatever order they are handed over.
public struct SafetensorsLayout: Sendable {
  /// The first bytes of the file: 8 bytes of length, JSON, blanks up to a multiple of 8.
  public let header: [UInt8]
  /// The tensors in the order of their bytes: dtypes by descending rank of the reference
  /// enumeration, then names bytewise (ST-30). `offset` is from the start of the file.
  public let placements: [(info: TensorInfo, offset: Int)]
  /// Bytes of the whole file.
  public let byteCount: Int

  /// O(n log n). Throws `cannotRepresent` where a name is empty, too long, reserved or there
  /// twice, or where header or file become too large.
  public init(tensors: [TensorInfo], metadata: [String: String] = [:]) throws {
    try SafetensorsWritable.check(file: tensors, metadata: metadata)
    var text = SafetensorsHeaderText(metadata: metadata)
    var places: [(info: TensorInfo, begin: Int)] = []
    var end = 0
    for info in Self.canonicalOrder(tensors) {
      guard let next = end.adding(info.byteCount), text.append(info, begin: end, end: next) else {
        throw SafetensorsWritable.tooLarge(info)
      }
      places.append((info, end))
      end = next
    }
    let header = try text.bytes()
    guard let byteCount = end.adding(header.count) else {
      throw SafetensorsWritable.tooLarge(places[places.count - 1].info)
    }
    self.header = header
    self.byteCount = byteCount
    placements = places.map { ($0.info, header.count + $0.begin) }
  }

  private static func canonicalOrder(_ tensors: [TensorInfo]) -> [TensorInfo] {
    tensors.map { (rank: $0.dtype.sortRank, info: $0) }
      .sorted {
        $0.rank == $1.rank
          ? $0.info.name.precedesBytewise($1.info.name) : $0.rank > $1.rank
      }
      .map(\.info)
  }
}
