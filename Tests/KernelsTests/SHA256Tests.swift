import Kernels
import TensorCore
import TestKit
import Testing

@Suite("SHA-256")
struct SHA256Tests {
  private static let levels = Processor.levels.map(\.name)

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// FIPS 180-4 with the examples and the long message that NIST publishes.
  @Test(
    "published digests",
    arguments: levels,
    [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      (
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
          + "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
      ),
    ])
  func published(level: String, example: (text: String, digest: String)) throws {
    let level = try Processor.level(named: level)
    let bytes = Array(example.text.utf8)
    #expect(SHA256.hex(of: bytes.rawSpan, on: level) == example.digest)
    #expect(hex(Reference.sha256(bytes)) == example.digest)
  }

  @Test("a million times a", arguments: levels)
  func million(level: String) throws {
    let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(
      SHA256.hex(of: bytes.rawSpan, on: try Processor.level(named: level))
        == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test("every size around the borders of blocks, whatever the fill", arguments: levels)
  func allSizes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x5A)
    for count in 0...260 {
      for fill in Fill.allCases {
        let bytes = fill.bytes(count, from: &random)
        let digest = fenced(bytes, count: SHA256.byteCount) { bytes, target in
          var hash = SHA256(on: level)
          hash.update(bytes)
          for (index, byte) in hash.finish().enumerated() { target.set(byte, at: index) }
        }
        #expect(digest == Reference.sha256(bytes), "\(count) bytes, \(fill), \(random)")
      }
    }
  }

  @Test("the same bytes in two pieces, cut anywhere", arguments: levels)
  func twoPieces(level: String) throws {
    var random = SplitMix64(seed: 0x5B)
    let bytes = random.bytes(200)
    let expected = Reference.sha256(bytes)
    for cut in 0...bytes.count {
      var hash = SHA256(on: try Processor.level(named: level))
      hash.update(bytes.rawSpan.part(0..<cut))
      hash.update(bytes.rawSpan.part(cut..<bytes.count))
      #expect(hash.finish() == expected, "cut at \(cut)")
    }
  }

  @Test("the same bytes in many pieces, with digests taken between", arguments: levels, 0..<20)
  func manyPieces(level: String, seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var hash = SHA256(on: try Processor.level(named: level))
    var sofar: [UInt8] = []
    for _ in 0..<40 {
      let piece = random.bytes(Int.random(in: 0...150, using: &random))
      hash.update(piece.rawSpan)
      sofar += piece
      #expect(hash.finish() == Reference.sha256(sofar), "\(sofar.count) bytes, \(random)")
    }
  }

  @Test("one flipped bit changes the digest")
  func flippedBit() {
    let bytes = [UInt8](repeating: 0x33, count: 64)
    let digests = (0..<512).map { bit in
      var other = bytes
      other[bit / 8] ^= 1 << (bit % 8)
      return SHA256.hex(of: other.rawSpan)
    }
    #expect(Set(digests + [SHA256.hex(of: bytes.rawSpan)]).count == 513)
  }
}
