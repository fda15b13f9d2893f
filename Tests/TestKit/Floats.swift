import TensorCore

/// The bytes of floats, little-endian.
public func bytes(of floats: [Float]) -> [UInt8] {
  floats.rawSpan.array
}

/// The floats of little-endian bytes.
public func floats(of bytes: [UInt8]) -> [Float] {
  let span = bytes.rawSpan
  return (0..<bytes.count / 4).map { span.float32(at: $0) }
}
