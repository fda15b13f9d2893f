internal import Kernels
internal import TensorCore

/// The two fixed parts of a container and the directory between them.
enum PackedQuantFrame {
  private static let directoryLevel = 19

  static var header: [UInt8] {
    var bytes = PackedQuant.headMagic + UInt16(PackedQuant.version).littleEndianBytes
    bytes += [UInt8](repeating: 0, count: 46)
    return bytes + XXH64.hash(bytes.rawSpan).littleEndianBytes
  }

  /// The directory, compressed where that helps, and the footer behind it.
  static func tail(of directory: PackedQuantDirectory, at offset: Int) -> [UInt8] {
    let plain = directory.bytes
    let frame = compressed(plain)
    let stored = frame ?? plain
    var digest = SHA256()
    digest.update(plain.rawSpan)
    var footer: [UInt8] = []
    for number in [offset, stored.count, plain.count] { footer += UInt64(number).littleEndianBytes }
    footer += XXH64.hash(stored.rawSpan).littleEndianBytes
    footer += digest.finish()
    footer += UInt64(offset + stored.count + PackedQuant.footerBytes).littleEndianBytes
    footer += UInt32(frame == nil ? 0 : 1).littleEndianBytes + [0, 0, 0, 0]
    footer += XXH64.hash(footer.rawSpan).littleEndianBytes
    return stored + footer + PackedQuant.endMagic
  }

  private static func compressed(_ plain: [UInt8]) -> [UInt8]? {
    var target = AlignedBytes(count: Zstd.bound(plain.count))
    var span = target.mutableBytes
    guard let size = Zstd.compress(plain.rawSpan, .level(directoryLevel), into: &span),
      size < plain.count, plain.count <= size * PackedQuant.Limits.directoryRatio
    else { return nil }
    return target.bytes.part(0..<size).array
  }

  /// The directory of a container, everything up to it checked (PQ-1 … PQ-22). Throws `malformed`
  /// or `unsupported` with a PQ rule, `io`.
  static func directory(of source: any ByteSource) throws -> (
    directory: PackedQuantDirectory, offset: Int
  ) {
    try checkHeader(source)
    let footer = try Footer(of: source)
    let stored = try source.contents(footer.offset..<footer.offset + footer.stored)
    guard XXH64.hash(stored.rawSpan) == footer.checksum else {
      throw PackedQuant.failure("the checksum of the directory", at: source.path, 9)
    }
    let plain = footer.isCompressed ? try expanded(stored, footer.plain, source.path) : stored
    let directory = try PackedQuantDirectory(parsing: plain, end: footer.offset, at: source.path)
    return (directory, footer.offset)
  }

  /// PQ-29. Throws `malformed`, `io`.
  static func checkDigest(of source: any ByteSource) throws {
    let footer = try Footer(of: source)
    let stored = try source.contents(footer.offset..<footer.offset + footer.stored)
    let plain = footer.isCompressed ? try expanded(stored, footer.plain, source.path) : stored
    var digest = SHA256()
    digest.update(plain.rawSpan)
    guard digest.finish() == footer.digest else {
      throw PackedQuant.failure("the digest of the directory", at: source.path, 29)
    }
  }

  private static func checkHeader(_ source: any ByteSource) throws {
    let place = source.path
    let head = try source.contents(0..<min(source.size, PackedQuant.headerBytes))
    guard head.starts(with: PackedQuant.headMagic) else {
      throw PackedQuant.failure("not a packed-quant container", at: place, 1)
    }
    guard source.size >= PackedQuant.headerBytes + PackedQuant.footerBytes else {
      throw unfinished(place)
    }
    guard UInt64(littleEndian: Array(head[56...])) == XXH64.hash(head.rawSpan.part(0..<56)),
      head[10..<12].allSatisfy({ $0 == 0 }), head[20..<56].allSatisfy({ $0 == 0 })
    else { throw PackedQuant.failure("the header is damaged", at: place, 2) }
    let version = Int(head[8]) | Int(head[9]) << 8
    guard version == PackedQuant.version else {
      throw PackedQuant.failure(
        "a version that this program does not read", at: place,
        expected: "\(PackedQuant.version)", found: "\(version)", 3, .unsupported)
    }
    guard head[12..<16].allSatisfy({ $0 == 0 }) else {
      throw PackedQuant.failure(
        "it needs features that this program does not have", at: place, 4, .unsupported)
    }
  }

  fileprivate static func unfinished(_ place: String) -> Failure {
    PackedQuant.failure(
      "the container has no footer: it was not finished, or was cut short", at: place, 5,
      remedy: "pack, copy or fetch it again")
  }

  private static func expanded(_ stored: [UInt8], _ count: Int, _ place: String) throws -> [UInt8] {
    guard Zstd.contentSize(stored.rawSpan) == count else {
      throw PackedQuant.failure(
        "the directory is no zstd frame of the stated size", at: place,
        expected: "\(count) bytes", 10)
    }
    var target = AlignedBytes(count: count)
    var span = target.mutableBytes
    guard Zstd.expand(stored.rawSpan, into: &span) else {
      throw PackedQuant.failure("the directory does not expand", at: place, 10)
    }
    return target.bytes.array
  }
}

/// The last bytes of a container (PQ-5 … PQ-8).
private struct Footer {
  let offset: Int
  let stored: Int
  let plain: Int
  let checksum: UInt64
  let digest: [UInt8]
  let isCompressed: Bool

  init(of source: any ByteSource) throws {
    let place = source.path
    let start = source.size - PackedQuant.footerBytes
    let bytes = try source.contents(start..<source.size)
    guard bytes.suffix(8).elementsEqual(PackedQuant.endMagic) else {
      throw PackedQuantFrame.unfinished(place)
    }
    func word(_ at: Int) -> UInt64 { UInt64(littleEndian: Array(bytes[at...])) ?? 0 }
    guard word(80) == XXH64.hash(bytes.rawSpan.part(0..<80)), word(72) <= 1 else {
      throw PackedQuant.failure("the footer is damaged", at: place, 6)
    }
    guard word(64) == UInt64(source.size), word(0) >= UInt64(PackedQuant.headerBytes),
      word(0) <= UInt64(start), word(8) == UInt64(start) - word(0)
    else {
      throw PackedQuant.failure(
        "the sizes in the footer are not those of the file", at: place,
        expected: "\(source.size) bytes", found: "\(word(64)), \(word(8)) of them from \(word(0))",
        7)
    }
    (offset, stored) = (Int(word(0)), Int(word(8)))
    isCompressed = word(72) == 1
    let limit = isCompressed ? stored.multiplied(by: PackedQuant.Limits.directoryRatio) : stored
    guard word(16) <= UInt64(min(limit ?? .max, PackedQuant.Limits.directoryBytes)),
      isCompressed || word(16) == UInt64(stored)
    else {
      throw PackedQuant.failure(
        "the directory's size is out of bounds", at: place,
        expected: "at most \(PackedQuant.Limits.directoryBytes) bytes", found: "\(word(16))", 8)
    }
    plain = Int(word(16))
    checksum = word(24)
    digest = Array(bytes[32..<64])
  }
}
