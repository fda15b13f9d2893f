/// Anything bytes can be read from by offset, by many threads at once: a file, or a stream that a
/// container expands on demand.
public protocol ByteSource: Sendable {
  /// Where the bytes are, for error messages.
  var path: String { get }
  /// Bytes there are.
  var size: Int { get }
  /// Fills `bytes` from `offset`. Throws `io` or `malformed`.
  func read(into bytes: inout MutableRawSpan, at offset: Int) throws
}

extension ByteSource {
  /// The whole range as a Swift array; for small pieces such as headers and configs.
  public func contents(_ range: Range<Int>) throws -> [UInt8] {
    var block = AlignedBytes(count: range.count)
    var span = block.mutableBytes
    try read(into: &span, at: range.lowerBound)
    return block.bytes.array
  }
}

/// A named tensor and where its bytes are. Reading is the only thing that touches data.
public struct Tensor: Sendable {
  public let info: TensorInfo
  public let source: any ByteSource
  /// Where the tensor starts in `source`; the container has checked that it ends inside.
  public let offset: Int

  public init(info: TensorInfo, source: any ByteSource, offset: Int) {
    self.info = info
    self.source = source
    self.offset = offset
  }

  public var name: String { info.name }
  public var dtype: DType { info.dtype }
  public var shape: Shape { info.shape }
  public var byteCount: Int { info.byteCount }
  /// File and tensor, for error messages.
  public var place: String { "\(source.path): tensor \(info)" }

  /// Fills `bytes` from the tensor's byte `start`. Traps where the range passes its end.
  public func read(into bytes: inout MutableRawSpan, at start: Int = 0) throws {
    precondition(start >= 0 && bytes.byteCount <= byteCount - start)
    try source.read(into: &bytes, at: offset + start)
  }

  /// All bytes of a small tensor.
  public func contents() throws -> AlignedBytes {
    var block = AlignedBytes(count: byteCount)
    var span = block.mutableBytes
    try read(into: &span)
    return block
  }

  /// Hands the bytes on in blocks of at most `limit`, from first to last, each with its start: memory
  /// does not depend on the tensor. Throws what reading and `body` throw.
  public func forEachBlock(
    of limit: Int = 4 << 20, _ body: (_ start: Int, _ bytes: RawSpan) throws -> Void
  ) throws {
    var block = AlignedBytes(count: min(byteCount, limit))
    for start in stride(from: 0, to: byteCount, by: limit) {
      let count = min(limit, byteCount - start)
      try block.withMutableBytes(count: count) { try read(into: &$0, at: start) }
      let bytes = block.bytes
      try body(start, bytes.part(0..<count))
    }
  }

  /// Fills `bytes` with a rectangle of a tensor whose rows are `rowBytes` long: `rows`, and in
  /// each the bytes `run`. One request where the runs touch.
  public func readRectangle(
    into bytes: inout MutableRawSpan, rows: Range<Int>, rowBytes: Int, run: Range<Int>
  ) throws {
    precondition(bytes.byteCount == rows.count * run.count && run.upperBound <= rowBytes)
    if run.count == rowBytes || rows.count == 1 {
      return try read(into: &bytes, at: rows.lowerBound * rowBytes + run.lowerBound)
    }
    for (position, row) in rows.enumerated() {
      var part = bytes.part(position * run.count..<(position + 1) * run.count)
      try read(into: &part, at: row * rowBytes + run.lowerBound)
    }
  }
}
