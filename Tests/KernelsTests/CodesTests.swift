import Kernels
import TestKit
import Testing

@Suite("Codes in and out of words")
struct CodesTests {
  @Test("streams of every width and length", arguments: Processor.levels.map(\.name), 1...8)
  func streams(level: String, bits: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x51 + UInt64(bits))
    for count in sizes + [1001] {
      for fill in Fill.allCases {
        let codes = fill.bytes(count, from: &random)
        let words = Reference.packStream(bits: bits, codes)
        let packed = fenced(codes, count: words.count) { codes, words in
          BitStream.pack(bits: bits, codes, into: &words, on: level)
        }
        #expect(packed == words, "\(count) codes, \(fill), \(random)")
        let stream = fill.bytes(words.count, from: &random)
        let unpacked = fenced(stream, count: count) { words, codes in
          BitStream.unpack(bits: bits, words, into: &codes, on: level)
        }
        let expected = Reference.unpackStream(bits: bits, stream, count: count)
        #expect(unpacked == expected, "\(count) codes, \(fill), \(random)")
      }
    }
  }

  @Test("packing leaves bytes behind the stream alone", arguments: 1...8)
  func streamsInLongerRoom(bits: Int) {
    for level in Processor.levels {
      let codes = [UInt8](repeating: 0xFF, count: 100)
      let words = fenced(codes, count: 200) { codes, words in
        BitStream.pack(bits: bits, codes, into: &words, on: level)
      }
      let used = BitStream.byteCount(bits: bits, count: 100)
      let rubbish = [UInt8](repeating: 0xA5, count: 200 - used)
      #expect(words == Reference.packStream(bits: bits, codes) + rubbish)
    }
  }

  @Test("word rows of every width and shape", arguments: Processor.levels.map(\.name), 1...8)
  func rows(level: String, bits: Int) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x52 + UInt64(bits))
    for columns in [0, 1, 2, 7, 31, 63, 64, 65, 127, 128, 129, 200] {
      for units in [0, 1, 2] {
        let rows = units * WordRows.unit(bits: bits)
        for fill in Fill.allCases where units == 1 || fill == .random {
          let words = fill.bytes(rows * columns * 4, from: &random)
          let expected = Reference.unpackRows(bits: bits, words, columns: columns)
          let codes = fenced(words, count: rows * 32 / bits * columns) { words, codes in
            WordRows.unpack(bits: bits, words, columns: columns, into: &codes, on: level)
          }
          #expect(codes == expected, "[\(rows)][\(columns)], \(fill), \(random)")
          let wide = fill.bytes(expected.count, from: &random)
          let packed = fenced(wide, count: words.count) { codes, words in
            WordRows.pack(bits: bits, codes, columns: columns, into: &words, on: level)
          }
          let repacked = Reference.packRows(bits: bits, wide, columns: columns)
          #expect(packed == repacked, "[\(rows)][\(columns)], \(fill), \(random)")
        }
      }
    }
  }

  @Test("interleaved words of every count", arguments: Processor.levels.map(\.name))
  func interleaved(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x53)
    for count in sizes {
      for fill in Fill.allCases {
        let words = fill.bytes(count * 4, from: &random)
        let codes = fenced(words, count: count * 8) { words, codes in
          InterleavedWords.unpack(words, into: &codes, on: level)
        }
        #expect(codes == Reference.unpackInterleaved(words), "\(count) words, \(fill), \(random)")
        let wide = fill.bytes(count * 8, from: &random)
        let packed = fenced(wide, count: count * 4) { codes, words in
          InterleavedWords.pack(codes, into: &words, on: level)
        }
        #expect(packed == Reference.packInterleaved(wide), "\(count) words, \(fill), \(random)")
      }
    }
  }

  @Test("four rows interleaved, of every shape", arguments: Processor.levels.map(\.name))
  func quads(level: String) throws {
    let level = try Processor.level(named: level)
    var random = SplitMix64(seed: 0x54)
    for columns in [0, 64, 128, 192, 320] {
      for rows in [0, 4, 8, 12] {
        for fill in Fill.allCases {
          let words = fill.bytes(rows * columns / 2, from: &random)
          let codes = fenced(words, count: rows * columns) { words, codes in
            QuadRows.unpack(words, columns: columns, into: &codes, on: level)
          }
          let expected = Reference.unpackQuads(words, rows: rows, columns: columns)
          #expect(codes == expected, "[\(rows)][\(columns)], \(fill), \(random)")
          let wide = fill.bytes(rows * columns, from: &random)
          let packed = fenced(wide, count: words.count) { codes, words in
            QuadRows.pack(codes, columns: columns, into: &words, on: level)
          }
          let repacked = Reference.packQuads(wide, rows: rows, columns: columns)
          #expect(packed == repacked, "[\(rows)][\(columns)], \(fill), \(random)")
        }
      }
    }
  }

  @Test("worked example: a row counted up to 15 again and again") func quadExample() {
    let codes = (0..<256).map { $0 < 64 ? UInt8($0 % 16) : 0 }
    let words = Reference.packQuads(codes, rows: 4, columns: 64)
    let first: [UInt8] = [0x80, 0x80, 0x91, 0x91, 0xA2, 0xA2, 0xB3, 0xB3]
    #expect(Array(words[..<8]) == first)
    #expect(words[32...].allSatisfy { $0 == 0 })
    #expect(Reference.unpackQuads(words, rows: 4, columns: 64) == codes)
  }

  @Test("worked examples: eight 4-bit and 32 3-bit codes counted up")
  func examples() {
    let counted = (0..<32).map { UInt8($0 % 8) }
    #expect(Reference.packStream(bits: 4, Array(counted[..<8])) == [0x10, 0x32, 0x54, 0x76])
    #expect(Reference.packInterleaved(Array(counted[..<8])) == [0x20, 0x64, 0x31, 0x75])
    let threes: [UInt8] = [
      0x88, 0xC6, 0xFA, 0x88, 0xC6, 0xFA, 0x88, 0xC6, 0xFA, 0x88, 0xC6, 0xFA,
    ]
    #expect(Reference.packStream(bits: 3, counted) == threes)
    #expect(Reference.packRows(bits: 3, counted, columns: 1) == threes)
  }
}
