public import TensorCore

/// What a container holds and where, as its directory tells.
public struct PackedQuantDirectory: Sendable, Equatable {
  /// How a stream is stored.
  public enum Encoding: Int, Sendable {
    case raw = 0
    case zstd = 1
    case constant = 2
  }

  /// A stream as it is stored.
  public struct Piece: Sendable, Equatable {
    public let encoding: Encoding
    /// Bytes in the container.
    public let stored: Int
  }

  /// A part of a blob that is read, checked and expanded on its own.
  public struct Chunk: Sendable, Equatable {
    /// A piece for each stream of the transform.
    public let pieces: [Piece]
    /// Its bytes in the container, padding included.
    public let region: Range<Int>
    /// XXH64 of the region.
    public let checksum: UInt64
  }

  /// A run of bytes of a file: a tensor, or what lies around tensors.
  public struct Blob: Sendable, Equatable {
    /// nil for plain bytes.
    public let tensor: TensorInfo?
    public let byteCount: Int
    public let transform: PackedTransform
    /// Restored bytes of each chunk but the last.
    public let chunkBytes: Int
    /// SHA-256 over the digests of the chunks.
    public let digest: [UInt8]
    public let chunks: [Chunk]
    /// Where its first region begins.
    public let offset: Int

    /// The restored bytes of a chunk, from the start of the blob.
    func range(of chunk: Int) -> Range<Int> {
      chunk * chunkBytes..<min((chunk + 1) * chunkBytes, byteCount)
    }

    /// Bytes in the container.
    public var stored: Int { (chunks.last?.region.upperBound ?? offset) - offset }

    /// Bytes of each stream, restored and in the container.
    public var streams: [(name: String, byteCount: Int, stored: Int)] {
      transform.streamNames.enumerated().map { index, name in
        let stored = chunks.reduce(0) { $0 + $1.pieces[index].stored }
        let bytes = chunks.indices.reduce(0) {
          $0 + transform.streamBytes(of: range(of: $1).count)
        }
        return (name, bytes, stored)
      }
    }

    /// Where the whole blob can be mapped from the container; nil where it is not stored raw.
    public var mappable: Range<Int>? {
      guard transform == .bytes, let last = chunks.last,
        chunks.count == 1 || chunkBytes % PackedQuant.alignment(streams: 1) == 0,
        chunks.allSatisfy({ $0.pieces[0].encoding == .raw })
      else { return nil }
      // Only the first region can hold padding: whole chunks keep the alignment.
      let start = last.region.upperBound - byteCount
      return start % PackedQuant.alignment(streams: 1) == 0 ? start..<last.region.upperBound : nil
    }
  }

  /// A file to be restored.
  public struct File: Sendable, Equatable {
    public let path: String
    public let byteCount: Int
    /// SHA-256 over the digests of its blobs.
    public let digest: [UInt8]
    public let blobs: [Blob]
  }

  /// A quantized layer in neutral terms: which tensors hold its codes, scales, offsets and groups.
  public struct Layer: Sendable, Equatable {
    public let name: String
    /// The layout it came from, which restores its bytes.
    public let layout: String
    public let rows: Int
    public let columns: Int
    public let bits: Int
    public let groupSize: Int
    /// Tensors by role; the number counts tensors over all files.
    public let parts: [(role: String, tensor: Int)]

    public init(
      name: String, layout: String, rows: Int, columns: Int, bits: Int, groupSize: Int,
      parts: [(role: String, tensor: Int)]
    ) {
      (self.name, self.layout, self.rows, self.columns) = (name, layout, rows, columns)
      (self.bits, self.groupSize, self.parts) = (bits, groupSize, parts)
    }

    public static func == (a: Layer, b: Layer) -> Bool {
      (a.name, a.layout, a.rows, a.columns, a.bits) == (b.name, b.layout, b.rows, b.columns, b.bits)
        && a.groupSize == b.groupSize && a.parts.elementsEqual(b.parts) { $0 == $1 }
    }
  }

  /// The program that wrote the container, and its version of zstd.
  public let writer: String
  /// Sorted by path, bytewise.
  public let files: [File]
  /// Sorted by name, bytewise.
  public let layers: [Layer]

  /// Bytes of all files.
  public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
}
