import TensorCore
import TestKit
import Testing

@testable import Containers

/// What the lenient reader overlooks, and what it must not.
@Suite struct SalvageTests {
  /// Rules of the fixtures of `safetensors/invalid` that are mended, by the fixture.
  private static let mended = [
    "JSON-3-byte-order-mark", "JSON-4-nul-padding", "ST-7-first-not-at-zero", "ST-8-byte-left-over",
  ]

  @Test(arguments: try Fixtures.paths(in: "safetensors/valid"))
  func validFileIsReadTheSame(path: String) throws {
    let file = try InputFile(path: path)
    let strict = try SafetensorsHeader(reading: file)
    let salvaged = try SalvagedHeader(reading: file)
    #expect(salvaged.mends.isEmpty)
    #expect(salvaged.metadata == strict.metadata)
    #expect(salvaged.tensors.map(\.info) == strict.tensors.map(\.info))
    #expect(salvaged.tensors.map(\.offset) == strict.tensors.map(\.offset))
  }

  @Test(arguments: try Fixtures.paths(in: "safetensors/invalid"))
  func invalidFileIsMendedOrRefusedByItsRule(path: String) throws {
    let name = String(path.fileName.dropLast(".safetensors".count))
    let rule = Fixtures.rule(of: path)
    if Self.mended.contains(name) {
      let header = try SalvagedHeader(reading: try InputFile(path: path))
      #expect(header.mends.map(\.rule) == [rule])
      #expect(!header.tensors.isEmpty || name.hasPrefix("JSON"))
    } else {
      let failure = try #require(throws: Failure.self) {
        try SalvagedHeader(reading: try InputFile(path: path))
      }
      // A tensor beyond the end of the file is one here, whether or not a hole is before it.
      let isBeyond = name == "ST-7-zero-sized-past-the-end"
      #expect(failure.rule == (isBeyond ? "ST-8" : rule), "\(failure)")
    }
  }

  @Test func holesOfZerosCloseAndOthersDoNot() throws {
    let header =
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
      + #""b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}"#
    let salvaged = try salvage(header, data: [7, 0, 0, 0, 8, 9])
    #expect(salvaged.mends.map(\.rule) == ["ST-7"])
    #expect(try bytes(of: salvaged) == [[7], [8, 9]])
    let failure = #expect(throws: Failure.self) { try salvage(header, data: [7, 0, 1, 0, 8, 9]) }
    #expect(failure?.rule == "ST-7")
    #expect(failure?.what.contains("lost") == true)
  }

  @Test func bytesBehindTheLastTensorAreDropped() throws {
    let header = #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    let salvaged = try salvage(header, data: [7, 8, 9])
    #expect(salvaged.mends.map(\.rule) == ["ST-8"])
    #expect(try bytes(of: salvaged) == [[7]])
    // A header without tensors says nothing of any data.
    #expect(throws: Failure.self) { try salvage("{}", data: [1]) }
    #expect(try salvage("{}", data: []).mends.isEmpty)
  }

  @Test(arguments: [
    ("\0\0\0", true), ("  \0 ", true), ("\u{1}\u{7F}", true), ("\0x", false), ("{}", false),
    ("]", false), (" ", true),
  ])
  func paddingIsNoText(padding: String, isTaken: Bool) throws {
    // Brackets inside of strings close nothing.
    let header = #"{"__metadata__":{"k\"}":"}{\\"}}"#
    let taken = (try? salvage(header + padding, data: [])) != nil
    #expect(taken == isTaken)
  }

  /// A refusal with a rule, or tensors inside of the file that do not share a byte.
  @Test(arguments: 0..<500)
  func damageIsMendedOrRefused(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let tensors = randomTensors(4, using: &generator)
    var damaged = try file(of: tensors, metadata: ["format": "pt"])
    for _ in 0..<Int.random(in: 1...4, using: &generator) where !damaged.isEmpty {
      let position = Int.random(in: 0..<damaged.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: damaged[position] = UInt8.random(in: 0...255, using: &generator)
      case 1: damaged.remove(at: position)
      case 2: damaged.insert(UInt8.random(in: 0...255, using: &generator), at: position)
      default: damaged = Array(damaged.prefix(position))
      }
    }
    do {
      let header = try SalvagedHeader(reading: MemorySource(damaged))
      var end = header.dataOffset
      for tensor in header.tensors {
        #expect(tensor.offset >= end, "\(generator)")
        end = tensor.offset + tensor.byteCount
      }
      #expect(end <= damaged.count, "\(generator)")
      #expect(header.mends.allSatisfy { !$0.rule.isEmpty })
    } catch {
      #expect((error as? Failure)?.rule != nil, "\(generator): \(error)")
    }
  }

  @Test func shardsAreNumberedAnew() {
    let names = ["m-00001-of-00003.safetensors", "m-00003-of-00003.safetensors"]
    #expect(
      ShardNumbering.names(for: names)
        == ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"])
    #expect(ShardNumbering.names(for: Array(names.prefix(1))) == ["m.safetensors"])
    #expect(ShardNumbering.names(for: names + ["other.safetensors"]) == nil)
  }

  private func salvage(_ header: String, data: [UInt8]) throws -> SalvagedHeader {
    let text = Array(header.utf8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
    return try SalvagedHeader(reading: MemorySource(length + text + data))
  }

  private func bytes(of header: SalvagedHeader) throws -> [[UInt8]] {
    try header.tensors.map { try $0.source.contents($0.offset..<$0.offset + $0.byteCount) }
  }
}
