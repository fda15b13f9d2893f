import Kernels
import TensorCore
import TestKit
import Testing

@testable import Containers

/// Every rule of reading refuses what breaks it, and says which one it is.
@Suite("rules of packed-quant")
struct PackedQuantRuleTests {
  private func refusal(_ change: (inout Crafted) -> Void) -> String? {
    var crafted = Crafted()
    change(&crafted)
    let bytes = crafted.bytes
    return rule {
      let container = try PackedQuantFile(bytes)
      if let first = try container.check().first { throw first }
    }
  }

  /// The container that all others here are changed from is right, byte by byte: this is the
  /// example of the specification.
  @Test func example() throws {
    let bytes = Crafted().bytes
    let container = try PackedQuantFile(bytes)
    #expect(try container.check() == [])
    #expect(try container.contents(0) == [1, 2, 3])
    let page = try FileSystem.contents(
      of: Fixtures.package + "/Formats/packed-quant.md", limit: 1 << 20)
    let hex = String(decoding: page, as: UTF8.self).split(separator: "\n")
      .drop { $0 != "```hex" }.dropFirst().prefix { $0 != "```" }
      .flatMap { $0.split(separator: ";")[0].split(separator: " ") }
      .compactMap { UInt8($0, radix: 16) }
    #expect(hex == bytes, "\(bytes.map { String($0, radix: 16) })")
  }

  @Test func headerAndFooter() throws {
    var bytes = Crafted().bytes
    #expect(rule { try PackedQuantFile([UInt8](repeating: 7, count: 300)) } == "PQ-1")
    #expect(rule { try PackedQuantFile(Array(bytes.dropLast(1))) } == "PQ-5")
    #expect(rule { try PackedQuantFile(Array(bytes.prefix(100))) } == "PQ-5")
    bytes[20] = 1
    #expect(rule { try PackedQuantFile(bytes) } == "PQ-2")
    bytes[20] = 0
    bytes[bytes.count - 20] ^= 1
    #expect(rule { try PackedQuantFile(bytes) } == "PQ-6")
    #expect(refusal { $0.version = 2 } == "PQ-3")
    #expect(refusal { $0.required = 4 } == "PQ-4")
    #expect(refusal { $0.statedLength = 5 } == "PQ-7")
    #expect(refusal { $0.statedOffset = 1 << 40 } == "PQ-7")
  }

  @Test func directoryAsStored() throws {
    // A bomb: one that states more than its bytes justify, and one whose frame holds less.
    #expect(refusal { $0.storedDirectory = ([1, 2, 3], 1 << 40) } == "PQ-8")
    #expect(refusal { $0.storedDirectory = ([1, 2, 3], 3000) } == "PQ-10")
    let zeros = [UInt8](repeating: 0, count: 4000)
    var target = AlignedBytes(count: Zstd.bound(zeros.count))
    var span = target.mutableBytes
    let size = try #require(Zstd.compress(zeros.rawSpan, .level(3), into: &span))
    let frame = target.bytes.part(0..<size).array
    #expect(refusal { $0.storedDirectory = (frame, 3999) } == "PQ-10")
    #expect(refusal { $0.storedDirectory = (frame + frame, 4000) } == "PQ-10")
    var bytes = Crafted().bytes
    bytes[70] ^= 1
    #expect(rule { try PackedQuantFile(bytes) } == "PQ-9")
  }

  @Test func numbersAndCounts() {
    #expect(refusal { $0.rest = [0] } == "PQ-11")
    #expect(refusal { $0.layers = [0x80, 0] } == "PQ-11")
    #expect(refusal { $0.layers = [UInt8](repeating: 0xFF, count: 10) } == "PQ-11")
    #expect(refusal { $0.layers = Crafted.number(1 << 60) } == "PQ-12")
    #expect(refusal { $0.extensions = [] } == "PQ-11")
    #expect(refusal { $0.files[0].blobs[0].byteCount = 1 << 50 } == "PQ-12")
  }

  @Test(
    arguments: [
      "../x", "/x", "a/../../x", "a//x", "./x", "a/", "a\\x", "..", "a\u{1}", "a\u{7F}",
      "nibble.unfinished.json", "nibble.unfinished.json/x",
      String(repeating: "a/", count: 64) + "a",
    ])
  func pathsThatReachOut(path: String) {
    #expect(refusal { $0.files[0].path = Array(path.utf8) } == "PQ-14")
  }

  @Test func names() {
    #expect(refusal { $0.files[0].path = [0xFF] } == "PQ-13")
    #expect(refusal { $0.files[0].path = [0x61, 0] } == "PQ-13")
    #expect(refusal { $0.files[0].path = [] } == "PQ-13")
    #expect(refusal { $0.files[0].path = [UInt8](repeating: 0x61, count: 256) } == "PQ-14")
    var empty = Crafted.File()
    empty.byteCount = 0
    empty.blobs = []
    for (paths, expected) in [
      (["a", "a"], "PQ-15"), (["b", "a"], "PQ-15"), (["a", "a/b"], "PQ-15"), (["a", "b"], nil),
    ] {
      let found = refusal { crafted in
        crafted.files = paths.map { path in
          var file = empty
          file.path = Array(path.utf8)
          return file
        }
      }
      #expect(found == expected, "\(paths)")
    }
  }

  private func tensor(_ name: String, dtype: UInt8 = 4, _ dimensions: [Int] = [3]) -> [UInt8] {
    [1] + Crafted.string(name) + [dtype] + Crafted.number(dimensions.count)
      + dimensions.flatMap(Crafted.number)
  }

  @Test func tensors() {
    #expect(refusal { $0.files[0].blobs[0].head = tensor("t") } == nil)
    #expect(refusal { $0.files[0].blobs[0].head = tensor("") } == "PQ-13")
    #expect(refusal { $0.files[0].blobs[0].head = tensor("t", dtype: 99) } == "PQ-16")
    #expect(refusal { $0.files[0].blobs[0].head = tensor("t", [4]) } == "PQ-16")
    #expect(refusal { $0.files[0].blobs[0].head = tensor("t", [1 << 40, 1 << 40]) } == "PQ-16")
    #expect(
      refusal {
        $0.files[0].blobs[0].head = tensor("t", [Int](repeating: 1, count: 33))
      } == "PQ-16")
    #expect(
      refusal { crafted in
        var second = crafted.files[0].blobs[0]
        crafted.files[0].blobs[0].head = tensor("t")
        second.head = tensor("t")
        second.offset = 67
        crafted.files[0].blobs.append(second)
        crafted.files[0].byteCount = 6
      } == "PQ-16")
    #expect(refusal { $0.files[0].byteCount = 4 } == "PQ-17")
    #expect(refusal { $0.files[0].blobs[0].head = [2] } == "PQ-18")
  }

  @Test(arguments: [
    [9], [1, 3, 0], [1, 2, 2], [1, 8, 1], [2, 2], [3, 0, 0, 0], [3, 9, 0, 0], [3, 3, 3, 0],
    [3, 3, 0, 1], [3, 3, 1, 0], [3, 3, 2, 0],
  ])
  func transforms(bytes: [UInt8]) {
    #expect(refusal { $0.files[0].blobs[0].transform = bytes } == "PQ-18")
  }

  @Test func chunksAndPieces() {
    #expect(refusal { $0.files[0].blobs[0].chunkBytes = 1 << 24 + 1 } == "PQ-19")
    #expect(refusal { $0.files[0].blobs[0].chunkBytes = 0 } == "PQ-19")
    #expect(refusal { $0.files[0].blobs[0].transform = [1, 2, 0] } == "PQ-19")
    #expect(refusal { $0.files[0].blobs[0].pieces = [[3 << 2 | 3]] } == "PQ-20")
    #expect(refusal { $0.files[0].blobs[0].pieces = [[4 << 2]] } == "PQ-20")
    #expect(refusal { $0.files[0].blobs[0].pieces = [[3 << 2 | 1]] } == "PQ-20")
    #expect(refusal { $0.files[0].blobs[0].pieces = [[2 << 2 | 2]] } == "PQ-20")
    #expect(refusal { $0.files[0].blobs[0].offset = 63 } == "PQ-21")
    #expect(refusal { $0.files[0].blobs[0].offset = 65 } == "PQ-22")
    #expect(refusal { $0.between = [0] } == "PQ-22")
    #expect(refusal { $0.files[0].blobs[0].checksums = [1] } == "PQ-23")
  }

  /// Two chunks that stand where the other belongs.
  @Test func reorderedChunks() {
    let found = refusal { crafted in
      crafted.files[0].blobs[0].chunkBytes = 2
      crafted.files[0].blobs[0].byteCount = 4
      crafted.files[0].byteCount = 4
      crafted.files[0].blobs[0].pieces = [[2 << 2], [2 << 2]]
      crafted.files[0].blobs[0].regions = [[3, 4], [1, 2]]
      let right: [[UInt8]] = [[1, 2], [3, 4]]
      crafted.files[0].blobs[0].checksums = right.map { XXH64.hash($0.rawSpan) }
    }
    #expect(found == "PQ-23")
  }

  /// A raw piece of 4096 bytes behind one of three: 61 bytes of padding, one of them not zero.
  @Test func padding() {
    let noise = [UInt8](repeating: 5, count: 4096)
    for (byte, expected) in [(0, nil), (1, "PQ-24")] as [(UInt8, String?)] {
      let found = refusal { crafted in
        var second = Crafted.Blob()
        (second.byteCount, second.chunkBytes, second.offset) = (4096, 4096, 67)
        second.pieces = [[4096 << 2]]
        second.regions = [[UInt8](repeating: 0, count: 60) + [byte] + noise]
        second.digest = PackedQuantDigest.blob(
          byteCount: 4096, chunkBytes: 4096, [PackedQuantDigest.chunk(noise.rawSpan)])
        crafted.files[0].blobs.append(second)
        crafted.files[0].byteCount = 4099
      }
      #expect(found == expected)
    }
  }

  @Test func frames() throws {
    let text = [UInt8](repeating: 0x41, count: 2000) + Array(0..<100)
    var target = AlignedBytes(count: Zstd.bound(text.count))
    var span = target.mutableBytes
    let size = try #require(Zstd.compress(text.rawSpan, .level(3), into: &span))
    let frame = target.bytes.part(0..<size).array
    func crafted(_ frame: [UInt8], _ count: Int) -> (inout Crafted) -> Void {
      { crafted in
        crafted.files[0].byteCount = count
        crafted.files[0].blobs[0].byteCount = count
        crafted.files[0].blobs[0].chunkBytes = count
        crafted.files[0].blobs[0].pieces = [[frame.count << 2 | 1]]
        crafted.files[0].blobs[0].regions = [frame]
        crafted.files[0].blobs[0].digest = PackedQuantDigest.blob(
          byteCount: count, chunkBytes: count, [PackedQuantDigest.chunk(text.rawSpan)])
      }
    }
    #expect(refusal(crafted(frame, text.count)) == nil)
    // A bomb: the frame holds more, or less, than the directory says.
    #expect(refusal(crafted(frame, text.count - 1)) == "PQ-25")
    #expect(refusal(crafted(frame, text.count + 1)) == "PQ-25")
    #expect(refusal(crafted(frame + [0], text.count)) == "PQ-25")
    #expect(refusal(crafted(Array(frame.dropLast()), text.count)) == "PQ-25")
    #expect(refusal(crafted([1, 2, 3, 4], text.count)) == "PQ-25")
    var broken = frame
    for index in 12..<broken.count { broken[index] ^= 0x55 }
    #expect(["PQ-25", "PQ-26", "PQ-27"].contains(refusal(crafted(broken, text.count)) ?? ""))
  }

  private static let three: [UInt8] = [1, 2, 3]

  @Test func digests() throws {
    #expect(
      refusal { $0.files[0].blobs[0].digest = [UInt8](repeating: 0, count: 32) } == "PQ-27")
    // The tree is made of what the directory says, so a wrong digest of a file is put in by hand.
    var crafted = Crafted()
    let right = crafted.directory
    let digest = PackedQuantDigest.file(
      byteCount: 3,
      [
        PackedQuantDigest.blob(
          byteCount: 3, chunkBytes: 3, [PackedQuantDigest.chunk(Self.three.rawSpan)])
      ])
    let at = try #require(right.indices.first { right[$0...].starts(with: digest) })
    var wrong = right
    wrong[at] ^= 1
    var target = AlignedBytes(count: Zstd.bound(wrong.count))
    var span = target.mutableBytes
    let size = try #require(Zstd.compress(wrong.rawSpan, .level(3), into: &span))
    crafted.storedDirectory = (target.bytes.part(0..<size).array, UInt64(wrong.count))
    let rules = try PackedQuantFile(crafted.bytes).check().compactMap(\.rule)
    // The digest of the directory was made of the right one.
    #expect(rules == ["PQ-28", "PQ-29"])
  }

  private func layer(_ name: String, _ parts: [(String, Int)]) -> [UInt8] {
    Crafted.string(name) + Crafted.string("gptq") + [1, 1, 4, 1] + Crafted.number(parts.count)
      + parts.flatMap { Crafted.string($0.0) + Crafted.number($0.1) }
  }

  @Test func layers() {
    let head = tensor("t")
    func found(_ layers: [UInt8]) -> String? {
      refusal {
        $0.files[0].blobs[0].head = head
        $0.layers = layers
      }
    }
    #expect(found([2] + layer("a", [("p", 0), ("q", 0)]) + layer("b", [])) == nil)
    #expect(found([2] + layer("a", []) + layer("a", [])) == "PQ-30")
    #expect(found([1] + layer("a", [("q", 0), ("p", 0)])) == "PQ-30")
    #expect(found([1] + layer("a", [("p", 1)])) == "PQ-30")
  }

  @Test func extensions() {
    #expect(refusal { $0.extensions = [2, 1, 0, 2, 8, 8, 5, 0, 0] } == nil)
    #expect(refusal { $0.extensions = [1, 1, 1, 0] } == "PQ-31")
    #expect(refusal { $0.extensions = [1, 1, 2, 0] } == "PQ-31")
    #expect(refusal { $0.extensions = [2, 5, 0, 0, 5, 0, 0] } == "PQ-31")
    #expect(refusal { $0.extensions = [1, 1, 0, 9] } == "PQ-11")
  }
}
