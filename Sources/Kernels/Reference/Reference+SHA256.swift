extension Reference {
  /// SHA-256 word for word as FIPS 180-4 (6.2) has it; 32 bytes.
  public static func sha256(_ message: [UInt8]) -> [UInt8] {
    let zeros = (119 - message.count % 64) % 64
    let bits = UInt64(message.count) * 8
    let padded =
      message + [0x80] + [UInt8](repeating: 0, count: zeros)
      + (0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * UInt64($0))) }
    // The fractions of the square roots of the first eight primes.
    var hash = primes.prefix(8).map { fraction(of: Double($0).squareRoot()) }
    for start in stride(from: 0, to: padded.count, by: 64) {
      hash = zip(hash, compressed(hash, schedule(of: padded[start..<start + 64]))).map { $0 &+ $1 }
    }
    return hash.flatMap { word in
      (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) }
    }
  }

  private static func schedule(of block: ArraySlice<UInt8>) -> [UInt32] {
    let bytes = Array(block)
    var words = (0..<16).map { i in
      (0..<4).reduce(0 as UInt32) { $0 << 8 | UInt32(bytes[4 * i + $1]) }
    }
    for i in 16..<64 {
      let (late, early) = (words[i - 2], words[i - 15])
      let first = turned(late, 17) ^ turned(late, 19) ^ late >> 10
      let second = turned(early, 7) ^ turned(early, 18) ^ early >> 3
      words.append(first &+ words[i - 7] &+ second &+ words[i - 16])
    }
    return words
  }

  private static func compressed(_ hash: [UInt32], _ schedule: [UInt32]) -> [UInt32] {
    var v = hash
    for i in 0..<64 {
      let choice = v[4] & v[5] ^ ~v[4] & v[6]
      let majority = v[0] & v[1] ^ v[0] & v[2] ^ v[1] & v[2]
      let first =
        v[7] &+ (turned(v[4], 6) ^ turned(v[4], 11) ^ turned(v[4], 25)) &+ choice
        &+ roundConstants[i] &+ schedule[i]
      let second = (turned(v[0], 2) ^ turned(v[0], 13) ^ turned(v[0], 22)) &+ majority
      v = [first &+ second, v[0], v[1], v[2], v[3] &+ first, v[4], v[5], v[6]]
    }
    return v
  }

  private static func turned(_ word: UInt32, _ by: UInt32) -> UInt32 {
    word >> by | word << (32 - by)
  }

  private static let primes = (2..<312).filter { n in !(2..<n).contains { n % $0 == 0 } }

  /// The fractions of the cube roots of the first 64 primes.
  private static let roundConstants = primes.map { prime in
    var root = 1.0
    for _ in 0..<64 { root -= (root * root * root - Double(prime)) / (3 * root * root) }
    return fraction(of: root)
  }

  private static func fraction(of value: Double) -> UInt32 {
    UInt32((value - value.rounded(.down)) * 0x1p32)
  }
}
