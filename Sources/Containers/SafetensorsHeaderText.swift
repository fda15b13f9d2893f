internal import TensorCore

/// The header of a file to be written: JSON without blanks, `__metadata__` first where there is
/// any, its keys sorted bytewise (ST-32).
struct SafetensorsHeaderText {
  private var text: String
  private var isFirst = true

  init(metadata: [String: String]) {
    text = "{"
    guard !metadata.isEmpty else { return }
    let pairs = metadata.sorted { $0.key.precedesBytewise($1.key) }
      .map { JSON.string($0.key).text() + ":" + JSON.string($0.value).text() }
    appendMember("\"\(SafetensorsHeader.metadataKey)\":{\(pairs.joined(separator: ","))}")
  }

  /// Bytes of the text so far, with the bracket that closes it.
  var length: Int { text.utf8.count + 1 }

  /// Appends one tensor, `begin` and `end` in bytes from the start of the data, unless the text
  /// would become longer than `capacity`; then false.
  mutating func append(
    _ info: TensorInfo, begin: Int, end: Int, capacity: Int = .max
  ) -> Bool {
    let shape = info.shape.dimensions.map(String.init).joined(separator: ",")
    let fields = "\"dtype\":\"\(info.dtype.rawValue)\",\"shape\":[\(shape)]"
    let member = JSON.string(info.name).text() + ":{\(fields),\"data_offsets\":[\(begin),\(end)]}"
    guard member.utf8.count < capacity - length else { return false }
    appendMember(member)
    return true
  }

  private mutating func appendMember(_ member: String) {
    if !isFirst { text += "," }
    isFirst = false
    text += member
  }

  /// Length prefix, text and blanks, up to a multiple of 8 (ST-31) and at least `capacity` bytes
  /// of text and blanks. Throws `cannotRepresent` where the text is longer than readers take.
  func bytes(capacity: Int = 0) throws -> [UInt8] {
    let limit = SafetensorsLimits.standard.headerBytes
    guard let padded = max(length, capacity).roundedUp(toMultipleOf: 8), padded <= limit else {
      throw Failure(
        .cannotRepresent, at: "", "the safetensors header is too long",
        expected: "at most \(limit) bytes", found: "\(max(length, capacity))", rule: "ST-2")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(8 + padded)
    for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: padded >> (8 * shift))) }
    bytes += text.utf8
    bytes.append(UInt8(ascii: "}"))
    bytes += repeatElement(UInt8(ascii: " "), count: padded - length)
    return bytes
  }

  /// No entry of a tensor of that name, and of at most that rank, is longer.
  static func longestEntry(name: String, rank: Int) -> Int {
    let longestNumber = 19
    let longestType = DType.allCases.map(\.rawValue.utf8.count).max() ?? 0
    let frame = ",:{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[,]}".utf8.count
    return JSON.string(name).text().utf8.count + frame + longestType
      + rank * (longestNumber + 1) + 2 * longestNumber
  }
}
