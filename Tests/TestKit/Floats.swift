/// The bytes of floats, little-endian.
public func bytes(of floats: [Float]) -> [UInt8] {
  floats.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
  }
}

/// The floats of little-endian bytes.
public func floats(of bytes: [UInt8]) -> [Float] {
  stride(from: 0, to: bytes.count, by: 4).map { start in
    Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32($1 * 8) })
  }
}
