public import TensorCore

/// Writes a safetensors file whose tensors' sizes become known only on the way.
///
/// Room for the longest header that the announced names can need is left free, tensors follow each
/// other in the order they are placed, and the header is written last, its free room filled with
/// blanks. Without `finish` nothing is left on disk. For one thread, since the order of placing is
/// the order of bytes; the ranges that were placed may be written by many.
public final class SafetensorsStream {
  private let file: OutputFile
  private let metadata: [String: String]
  private let capacity: Int
  private var text: SafetensorsHeaderText
  private var placed: [TensorInfo] = []
  private var end = 0

  /// The first data byte.
  public var dataOffset: Int { 8 + capacity }

  /// Reserves the header: `names` are all that may be placed, in any order, each of at most
  /// `maxRank` dimensions. Throws `cannotRepresent` where the header could become too long.
  public init(
    to file: OutputFile, names: [String], maxRank: Int = 4, metadata: [String: String] = [:]
  ) throws {
    self.file = file
    self.metadata = metadata
    text = SafetensorsHeaderText(metadata: metadata)
    var longest = text.length
    for name in names {
      let maxRank = min(maxRank, SafetensorsLimits.standard.rank)
      longest += SafetensorsHeaderText.longestEntry(name: name, rank: maxRank)
    }
    let limit = SafetensorsLimits.standard.headerBytes
    guard let capacity = longest.roundedUp(toMultipleOf: 8), capacity <= limit else {
      throw SafetensorsWritable.refusal(
        "the header could become too long", expected: "at most \(limit) bytes",
        found: "\(longest)", rule: "ST-2")
    }
    self.capacity = capacity
  }

  /// Gives the tensor the next bytes of the file and returns their absolute offset; the caller
  /// writes all `info.byteCount` of them to the file.
  ///
  /// Throws `cannotRepresent` for a name that can't be written, `usage` where the reserved header
  /// has no room because other names or ranks were announced.
  public func place(_ info: TensorInfo) throws -> Int {
    try SafetensorsWritable.check(info)
    guard let next = end.adding(info.byteCount), let offset = end.adding(dataOffset) else {
      throw SafetensorsWritable.tooLarge(info)
    }
    guard text.append(info, begin: end, end: next, capacity: capacity) else {
      throw Failure(
        .usage, at: file.path, "no room in the header for tensor \(info)",
        expected: "at most \(capacity) bytes", rule: "ST-33")
    }
    placed.append(info)
    end = next
    return offset
  }

  /// Places a tensor and writes its bytes. Traps where they are not `info.byteCount`.
  public func append(_ info: TensorInfo, bytes: RawSpan) throws {
    precondition(bytes.byteCount == info.byteCount)
    try file.write(bytes, at: try place(info))
  }

  /// Writes the header, flushes where `sync`, and gives the file its name; returns its size.
  /// Throws `cannotRepresent` where a name was placed twice, `io`.
  @discardableResult
  public func finish(sync: Bool) throws -> Int {
    try SafetensorsWritable.check(file: placed, metadata: metadata)
    try file.write(text.bytes(capacity: capacity), at: 0)
    try file.commit(byteCount: dataOffset + end, sync: sync)
    return dataOffset + end
  }
}
