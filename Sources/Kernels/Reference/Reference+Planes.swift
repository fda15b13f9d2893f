extension Reference {
  /// Plane j holds byte j of every element of `width` bytes, each rotated left by one bit first
  /// where `turned`.
  public static func planes(_ bytes: [UInt8], width: Int, turned: Bool) -> [UInt8] {
    let elements = stride(from: 0, to: bytes.count, by: width).map { start -> [UInt8] in
      let element = Array(bytes[start..<start + width])
      guard turned else { return element }
      return element.indices.map { index in
        element[index] << 1 | element[(index + width - 1) % width] >> 7
      }
    }
    return (0..<width).flatMap { byte in elements.map { $0[byte] } }
  }

  /// Codes in whole bytes, as many as fit, the first one lowest.
  public static func codeBytes(_ codes: [UInt8], bits: Int) -> [UInt8] {
    let each = 8 / bits
    return stride(from: 0, to: codes.count, by: each).map { start in
      codes[start..<min(start + each, codes.count)].enumerated().reduce(0) {
        $0 | $1.element << UInt8(bits * $1.offset)
      }
    }
  }
}
