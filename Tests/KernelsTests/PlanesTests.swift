import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Planes of bytes, codes in bytes, XXH64")
struct PlanesTests {
  private static let levels = Processor.levels.map(\.name)

  @Test("planes of every width and size", arguments: levels, [2, 4, 8])
  func planes(level: String, width: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x91)
    for turned in width == 8 ? [false] : [false, true] {
      for count in sizes {
        for fill in Fill.allCases {
          let elements = fill.bytes(count * width, from: &random)
          let expected = Reference.planes(elements, width: width, turned: turned)
          let planes = fenced(elements, count: elements.count) {
            Planes.split($0, width: width, turned: turned, into: &$1, on: level)
          }
          #expect(planes == expected, "\(count), \(fill), \(turned), \(random)")
          let back = fenced(expected, count: elements.count) {
            Planes.merge($0, width: width, turned: turned, into: &$1, on: level)
          }
          #expect(back == elements, "\(count), \(fill), \(turned), \(random)")
        }
      }
    }
  }

  @Test("two planes from two places", arguments: levels)
  func twoPlanes(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x92)
    for count in sizes {
      let low = random.bytes(count)
      let high = random.bytes(count)
      let elements = fenced(low, count: 2 * count) {
        Planes.merge(low: $0, high: high.rawSpan, turned: true, into: &$1, on: level)
      }
      #expect(Reference.planes(elements ?? [], width: 2, turned: true) == low + high)
    }
  }

  @Test("codes in bytes, of every width and count", arguments: levels, 1...8)
  func codeBytes(level: String, bits: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x93)
    for count in sizes {
      let codes = random.bytes(count).map { $0 & UInt8(truncatingIfNeeded: 1 << bits - 1) }
      let expected = Reference.codeBytes(codes, bits: bits)
      #expect(expected.count == CodeBytes.byteCount(bits: bits, count: count))
      let packed = fenced(codes, count: expected.count) {
        CodeBytes.pack(bits: bits, $0, into: &$1, on: level)
      }
      #expect(packed == expected, "\(count), \(random)")
      let back = fenced(expected, count: count) {
        CodeBytes.unpack(bits: bits, $0, into: &$1, on: level)
      }
      #expect(back == codes, "\(count), \(random)")
    }
  }

  /// The sanity checks of the xxHash repository: a buffer from its generator, XXH64 of prefixes.
  @Test("published checksums", arguments: levels)
  func published(level: String) throws {
    let level = try Processor.level(named: level)
    let prime = 2_654_435_761 as UInt64
    var generator = prime
    let buffer = (0..<222).map { _ -> UInt8 in
      defer { generator = generator &* 11_400_714_785_074_694_797 }
      return UInt8(generator >> 56)
    }
    let vectors: [(count: Int, seed: UInt64, hash: UInt64)] = [
      (0, 0, 0xEF46_DB37_51D8_E999), (0, prime, 0xAC75_FDA2_929B_17EF),
      (1, 0, 0xE934_A84A_DB05_2768), (1, prime, 0x5014_607643A9_B4C3),
      (4, 0, 0x9136_A0DC_A57457EE), (14, 0, 0x8282_DCC4_994E_35C8),
      (14, prime, 0xC3BD_6BF6_3DEB_6DF0), (222, 0, 0xB641_AE8C_B691_C174),
      (222, prime, 0x20CB_8AB7_AE10_C14A),
    ]
    for vector in vectors {
      let found = XXH64.hash(
        buffer.rawSpan.part(0..<vector.count), seed: vector.seed, on: level)
      #expect(found == vector.hash, "\(vector.count) bytes, seed \(vector.seed)")
    }
    #expect(XXH64.hash(Array("abc".utf8).rawSpan, on: level) == 0x44BC_2CF5_AD77_0999)
  }
}

@Suite("Frames of zstd")
struct ZstdTests {
  @Test("what is compressed expands", arguments: [Zstd.Method.literals, .level(1), .level(19)])
  func roundTrip(method: Zstd.Method) throws {
    var random = SplitMix64(seed: 0x94)
    for count in [1, 2, 31, 100, 1000, 131_071, 131_072, 131_073, 400_000] {
      let bytes = random.bytes(count).map { $0 & $0 >> 4 & 0x1F }
      var target = AlignedBytes(count: Zstd.bound(count))
      var span = target.mutableBytes
      let size = try #require(Zstd.compress(bytes.rawSpan, method, into: &span))
      let frame = target.bytes.part(0..<size).array
      #expect(Zstd.contentSize(frame.rawSpan) == count)
      let back = fenced(frame, count: count) { #expect(Zstd.expand($0, into: &$1)) }
      #expect(back == bytes, "\(count), \(random)")
      // Too much and too little of it are no frame.
      #expect(Zstd.contentSize((frame + [0]).rawSpan) == nil)
      #expect(Zstd.contentSize(frame.rawSpan.part(0..<size - 1)) == nil)
      _ = fenced(frame, count: count + 1) { #expect(!Zstd.expand($0, into: &$1)) }
      _ = fenced(frame, count: count - 1) { #expect(!Zstd.expand($0, into: &$1)) }
    }
  }

  @Test("no room is told, not overrun")
  func noRoom() {
    var random = SplitMix64(seed: 0x95)
    let bytes = random.bytes(1000)
    _ = fenced(bytes, count: 500) { source, target in
      #expect(Zstd.compress(source, .literals, into: &target) == nil)
      #expect(Zstd.compress(source, .level(3), into: &target) == nil)
    }
  }
}
