import Kernels
import TensorCore

@testable import Containers

/// A container built by hand from the words of the specification, each part of which a test may
/// change; the checksums around it are made right again.
struct Crafted {
  struct Blob {
    /// Kind, and for a tensor its name, dtype and dimensions.
    var head: [UInt8] = [0]
    var byteCount = 3
    var transform: [UInt8] = [0]
    var chunkBytes = 3
    var offset = 64
    var digest: [UInt8]?
    /// Stored × 4 + encoding of each piece of each chunk.
    var pieces: [[Int]] = [[3 << 2]]
    /// The regions of its chunks.
    var regions: [[UInt8]] = [[1, 2, 3]]
    var checksums: [UInt64]?
  }

  struct File {
    var path = Array("a".utf8)
    var byteCount = 3
    var blobs = [Blob()]
  }

  var files = [File()]
  /// The bytes of layers and extensions.
  var layers: [UInt8] = [0]
  var extensions: [UInt8] = [0]
  /// Bytes behind all that.
  var rest: [UInt8] = []
  var version = 1
  var required: UInt32 = 0
  /// Stored instead of the plain directory, with the size it states.
  var storedDirectory: (bytes: [UInt8], plain: UInt64)?
  var statedLength: UInt64?
  var statedOffset: UInt64?
  var between: [UInt8] = []

  static func number(_ value: Int) -> [UInt8] {
    var writer = PackedBytesWriter()
    writer.number(value)
    return writer.bytes
  }

  static func string(_ text: String) -> [UInt8] { number(text.utf8.count) + Array(text.utf8) }

  var directory: [UInt8] {
    var bytes = Self.string("hand") + Self.number(files.count)
    for file in files {
      bytes += Self.number(file.path.count) + file.path + Self.number(file.byteCount)
      bytes += PackedQuantDigest.file(
        byteCount: file.byteCount, file.blobs.map { digest(of: $0) })
      bytes += Self.number(file.blobs.count)
      for blob in file.blobs { bytes += entry(of: blob) }
    }
    return bytes + layers + extensions + rest
  }

  private func digest(of blob: Blob) -> [UInt8] {
    // Right where the chunks are stored raw.
    blob.digest
      ?? PackedQuantDigest.blob(
        byteCount: blob.byteCount, chunkBytes: blob.chunkBytes,
        blob.regions.map { PackedQuantDigest.chunk($0.rawSpan) })
  }

  private func entry(of blob: Blob) -> [UInt8] {
    var bytes = blob.head + Self.number(blob.byteCount) + blob.transform
    bytes += Self.number(blob.chunkBytes) + Self.number(blob.offset) + digest(of: blob)
    for (index, chunk) in blob.pieces.enumerated() {
      for piece in chunk { bytes += Self.number(piece) }
      let region = index < blob.regions.count ? blob.regions[index] : []
      bytes += (blob.checksums?[index] ?? XXH64.hash(region.rawSpan)).littleEndianBytes
    }
    return bytes
  }

  var bytes: [UInt8] {
    var head = PackedQuant.headMagic + UInt16(version).littleEndianBytes + [0, 0]
    head += required.littleEndianBytes + [UInt8](repeating: 0, count: 40)
    head += XXH64.hash(head.rawSpan).littleEndianBytes
    let data = files.flatMap { $0.blobs.flatMap { $0.regions.flatMap { $0 } } } + between
    let plain = directory
    let stored = storedDirectory?.bytes ?? plain
    let offset = 64 + data.count
    var digest = SHA256()
    digest.update(plain.rawSpan)
    var footer = (statedOffset ?? UInt64(offset)).littleEndianBytes
    footer += UInt64(stored.count).littleEndianBytes
    footer += (storedDirectory?.plain ?? UInt64(plain.count)).littleEndianBytes
    footer += XXH64.hash(stored.rawSpan).littleEndianBytes + digest.finish()
    footer += (statedLength ?? UInt64(offset + stored.count + 96)).littleEndianBytes
    footer += UInt32(storedDirectory == nil ? 0 : 1).littleEndianBytes + [0, 0, 0, 0]
    footer += XXH64.hash(footer.rawSpan).littleEndianBytes
    return head + data + stored + footer + PackedQuant.endMagic
  }
}
