public import TensorCore

/// The header of one safetensors file, every rule of `Formats/safetensors.md` checked.
///
/// What exists is right: tensors lie one behind the other from the first data byte to the last
/// byte of the file, and each has exactly the bytes that its dtype and shape take.
public struct SafetensorsHeader: Sendable {
  /// Bytes of header JSON, blanks included: `N`, the number in the first eight bytes.
  public let length: Int
  /// The strings under `__metadata__`; empty where it is absent or null.
  public let metadata: JSONObject
  /// In the order of their bytes; zero-sized tensors at one offset in the order of the header.
  public let tensors: [Tensor]

  /// The first data byte of the file.
  public var dataOffset: Int { 8 + length }

  /// The key that is not a tensor.
  static let metadataKey = "__metadata__"

  /// Reads and checks the header; no data byte is touched. O(header), and allocates in proportion
  /// to it after its length was checked against the file.
  ///
  /// Throws `malformed` with an ST or JSON rule, `unsupported` where the file is of another known
  /// kind (ST-21 … ST-29), `io` where it can't be read.
  public init(reading source: any ByteSource, limits: SafetensorsLimits = .standard) throws {
    length = try Self.length(of: source, limits: limits)
    let text = try source.contents(8..<8 + length)
    let top = try JSON(parsing: text, at: source.path, limits: .header)
    let entries: [SafetensorsEntry]
    (metadata, entries) = try Self.parts(of: top, at: source.path, limits: limits)
    try Self.checkCoverage(entries, of: source.size - 8 - length, at: source.path)
    let start = 8 + length
    tensors = entries.map { Tensor(info: $0.info, source: source, offset: start + $0.begin) }
  }

  /// `N`, once it is known to lie inside the file and to be followed by something like JSON.
  static func length(of source: any ByteSource, limits: SafetensorsLimits) throws -> Int {
    let head = try source.contents(0..<min(source.size, ForeignFile.headLength))
    guard let length = UInt64(littleEndian: head) else {
      throw ForeignFile.recognised(by: head, at: source.path)
        ?? Failure(
          .malformed, at: source.path, "the file is too short for a header length",
          expected: "at least 8 bytes", found: "\(head.count)", rule: "ST-1")
    }
    let room = source.size - 8
    if length <= limits.headerBytes && length <= room {
      if length == 0 || !startsLikeJSON(head),
        let failure = ForeignFile.recognised(by: head, at: source.path)
      {
        throw failure
      }
      return Int(length)
    }
    if let failure = ForeignFile.recognised(by: head, at: source.path) { throw failure }
    throw length > limits.headerBytes
      ? Failure(
        .malformed, at: source.path, "the header length is unreasonable: not a safetensors file?",
        expected: "at most \(limits.headerBytes) bytes", found: "\(length)", rule: "ST-2")
      : Failure(
        .malformed, at: source.path, "the header passes the end of the file",
        expected: "at most \(room) bytes", found: "\(length)", rule: "ST-3")
  }

  private static func startsLikeJSON(_ head: [UInt8]) -> Bool {
    head.count > 8 && "{ \t\r\n".utf8.contains(head[8])
  }

  /// The metadata, and the entries sorted by their bytes, of a header (ST-4 … ST-6, ST-9 … ST-17).
  static func parts(
    of top: JSON, at place: String, limits: SafetensorsLimits
  ) throws -> (metadata: JSONObject, entries: [SafetensorsEntry]) {
    guard let object = top.object else {
      throw Failure(.malformed, at: place, "the header is not a JSON object", rule: "ST-4")
    }
    let metadata = try metadata(object[metadataKey], at: place)
    return (metadata, try entries(object, at: place, limits: limits))
  }

  private static func metadata(_ value: JSON?, at place: String) throws -> JSONObject {
    guard let value, !value.isNull else { return JSONObject() }
    guard let object = value.object else {
      throw Failure(
        .malformed, at: place, "\"\(metadataKey)\" is not an object", rule: "ST-5")
    }
    if let member = object.members.first(where: { $0.value.string == nil }) {
      throw Failure(
        .malformed, at: place, "\"\(metadataKey)\": the value of \"\(member.key)\" is no string",
        rule: "ST-5")
    }
    return object
  }

  private static func entries(
    _ object: JSONObject, at place: String, limits: SafetensorsLimits
  ) throws -> [SafetensorsEntry] {
    let count = object.members.count - (object[metadataKey] == nil ? 0 : 1)
    guard count <= limits.tensors else {
      throw Failure(
        .malformed, at: place, "too many tensors", expected: "at most \(limits.tensors)",
        found: "\(count)", rule: "ST-17")
    }
    var entries: [SafetensorsEntry] = []
    entries.reserveCapacity(count)
    for (position, member) in object.members.enumerated() where member.key != metadataKey {
      entries.append(
        try SafetensorsEntry(
          name: member.key, value: member.value, position: position, at: place, limits: limits))
    }
    return entries.sorted { ($0.begin, $0.end, $0.position) < ($1.begin, $1.end, $1.position) }
  }

  /// The tensors tile the data: no hole, no overlap (ST-7), nothing missing or left over (ST-8).
  private static func checkCoverage(
    _ entries: [SafetensorsEntry], of dataCount: Int, at place: String
  ) throws {
    var end = 0
    for entry in entries {
      guard entry.begin == end else {
        throw Failure(
          .malformed, at: "\(place): tensor \(entry.info)",
          entry.begin > end
            ? "a hole before the tensor's bytes" : "the tensor's bytes overlap the one before",
          expected: "begin \(end)", found: "\(entry.begin)", rule: "ST-7")
      }
      end = entry.end
    }
    guard end == dataCount else {
      throw Failure(
        .malformed, at: place,
        end > dataCount ? "the file is cut short" : "bytes behind the last tensor",
        expected: "\(end) bytes of data", found: "\(dataCount)", rule: "ST-8",
        remedy: end > dataCount ? "fetch or copy the file again" : nil)
    }
  }
}

extension UInt64 {
  /// The first eight bytes, least significant first; nil where there are fewer.
  init?(littleEndian bytes: [UInt8]) {
    guard bytes.count >= 8 else { return nil }
    self = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
