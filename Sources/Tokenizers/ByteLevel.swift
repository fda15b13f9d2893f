/// GPT-2's names of bytes: each of the 256 bytes has a visible character of its own.
///
/// Source: `bytes_to_unicode` of OpenAI's GPT-2 (`encoder.py`).
enum ByteLevel {
  /// The character of each byte.
  static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 256
    return (0..<256).map { byte in
      if isVisible(byte) { return Unicode.Scalar(UInt8(byte)) }
      defer { next += 1 }
      return Unicode.Scalar(next) ?? "\u{FFFD}"
    }
  }()

  /// The byte of each character below U+0144; −1 where it names none.
  private static let bytes: [Int16] = {
    var bytes = [Int16](repeating: -1, count: 324)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar.value)] = Int16(byte) }
    return bytes
  }()

  private static func isVisible(_ byte: Int) -> Bool {
    (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
  }

  /// The byte that a character names.
  static func byte(of scalar: Unicode.Scalar) -> UInt8? {
    guard scalar.value < 324 else { return nil }
    let byte = bytes[Int(scalar.value)]
    return byte < 0 ? nil : UInt8(byte)
  }

  /// The bytes that a token spells; nil where one of its characters names none.
  static func bytes(spelledBy token: some Sequence<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    for scalar in String(decoding: Array(token), as: UTF8.self).unicodeScalars {
      guard let byte = byte(of: scalar) else { return nil }
      bytes.append(byte)
    }
    return bytes
  }
}
