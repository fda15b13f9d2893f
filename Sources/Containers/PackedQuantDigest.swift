internal import Kernels
internal import TensorCore

/// The tree of digests above the chunks (`Formats/packed-quant.md`, "Digests").
enum PackedQuantDigest {
  static func chunk(_ bytes: RawSpan) -> [UInt8] {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finish()
  }

  static func blob(byteCount: Int, chunkBytes: Int, _ chunks: [[UInt8]]) -> [UInt8] {
    node(
      "PQ blob\n", UInt64(byteCount).littleEndianBytes + UInt64(chunkBytes).littleEndianBytes,
      chunks)
  }

  static func file(byteCount: Int, _ blobs: [[UInt8]]) -> [UInt8] {
    node("PQ file\n", UInt64(byteCount).littleEndianBytes, blobs)
  }

  private static func node(_ tag: String, _ head: [UInt8], _ children: [[UInt8]]) -> [UInt8] {
    var hash = SHA256()
    let start = Array(tag.utf8) + head
    hash.update(start.rawSpan)
    for child in children { hash.update(child.rawSpan) }
    return hash.finish()
  }
}
