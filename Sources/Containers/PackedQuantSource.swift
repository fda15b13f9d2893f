public import TensorCore

/// A file to be packed: its bytes in runs that belong together.
public struct PackedQuantSource: Sendable {
  /// A run of bytes and how it is taken apart.
  public struct Blob: Sendable {
    /// nil for plain bytes.
    public let tensor: TensorInfo?
    public let range: Range<Int>
    public let transform: PackedTransform

    /// A transform that the bytes can't be cut for is replaced by plain bytes.
    public init(tensor: TensorInfo?, range: Range<Int>, transform: PackedTransform) {
      self.tensor = tensor
      self.range = range
      self.transform = transform.fits(range.count) ? transform : .bytes
    }

    var chunkBytes: Int { range.isEmpty ? 1 : min(transform.chunkBytes, max(1, range.count)) }
    var chunks: Int { range.count.dividedRoundingUp(by: chunkBytes) }
  }

  public let path: String
  public let source: any ByteSource
  /// They follow each other from the first byte of the file to its last.
  public let blobs: [Blob]

  /// Traps where the blobs are not the whole file.
  public init(path: String, source: any ByteSource, blobs: [Blob]) {
    var end = 0
    for blob in blobs {
      precondition(blob.range.lowerBound == end)
      end = blob.range.upperBound
    }
    precondition(end == source.size)
    (self.path, self.source, self.blobs) = (path, source, blobs)
  }

  /// The whole file as plain bytes.
  public init(path: String, plain source: any ByteSource) {
    let blob = Blob(tensor: nil, range: 0..<source.size, transform: .bytes)
    self.init(path: path, source: source, blobs: source.size == 0 ? [] : [blob])
  }

  /// A safetensors file: its header, then its tensors, each taken apart as `transform` says.
  public init(
    path: String, source: any ByteSource, header: SafetensorsHeader,
    transform: (Tensor) -> PackedTransform
  ) {
    let head = Blob(tensor: nil, range: 0..<header.dataOffset, transform: .bytes)
    let tensors = header.tensors.map {
      Blob(
        tensor: $0.info, range: $0.offset..<$0.offset + $0.byteCount, transform: transform($0))
    }
    self.init(path: path, source: source, blobs: [head] + tensors)
  }
}
