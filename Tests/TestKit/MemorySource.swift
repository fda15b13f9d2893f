public import TensorCore

/// Bytes in memory that read like a file, with the same refusals past the end.
public struct MemorySource: ByteSource {
  public let path = "memory"
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  public var size: Int { bytes.count }

  public func read(into span: inout MutableRawSpan, at offset: Int) throws {
    guard offset >= 0, offset <= size, span.byteCount <= size - offset else {
      throw Failure(.io, at: path, "the file ended while being read")
    }
    for position in 0..<span.byteCount {
      span.storeBytes(of: bytes[offset + position], toByteOffset: position, as: UInt8.self)
    }
  }
}
