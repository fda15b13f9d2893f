import TensorCore
import TestKit
import Testing

@testable import Containers

@Suite struct SafetensorsLayoutTests {
  @Test func exampleIsWrittenByteForByte() throws {
    let tensor = try #require(TensorInfo(name: "w", dtype: .i8, shape: [2]))
    let layout = try SafetensorsLayout(tensors: [tensor], metadata: ["format": "pt"])
    let example = try FileSystem.contents(
      of: Fixtures.path("safetensors/valid/example.safetensors"), limit: 1000)
    #expect(layout.header + [0, 0] == example)
    #expect(layout.byteCount == example.count)
    #expect(layout.placements[0].offset == 0x60)
  }

  @Test func emptyFileIsWrittenByteForByte() throws {
    let layout = try SafetensorsLayout(tensors: [])
    #expect(layout.header == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
    #expect(layout.byteCount == 16)
  }

  /// The reference library's own file: every dtype its writer takes, names that need escapes.
  @Test(arguments: 0..<20)
  func referenceFileIsWrittenByteForByte(seed: UInt64) throws {
    let path = Fixtures.path("safetensors/golden/serialized.safetensors")
    let file = try InputFile(path: path)
    let read = try SafetensorsHeader(reading: file)
    #expect(read.tensors.count == 33)
    var generator = SplitMix64(seed: seed)
    let layout = try SafetensorsLayout(
      tensors: read.tensors.map(\.info).shuffled(using: &generator),
      metadata: ["for\"mat": "p\nt é"])
    #expect(layout.header == (try file.contents(0..<read.dataOffset)))
    #expect(layout.byteCount == file.size)
    #expect(layout.placements.map(\.offset) == read.tensors.map(\.offset))
  }

  @Test(arguments: 0..<60)
  func whatIsWrittenIsRead(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let tensors = randomTensors(Int.random(in: 0...40, using: &generator), using: &generator)
    let metadata = ["format": "pt", "a\"b": "é\n", "": ""]
    let source = MemorySource(try file(of: tensors, metadata: metadata))
    let header = try SafetensorsHeader(reading: source)
    #expect(header.length % 8 == 0)
    #expect(header.metadata == JSONObject(["": "", "a\"b": "é\n", "format": "pt"]))
    #expect(Set(header.tensors.map(\.info)) == Set(tensors))
    for tensor in header.tensors {
      #expect(bytes(of: tensor) == testBytes(of: tensor.info), "\(tensor.info) of \(generator)")
    }
  }

  @Test(arguments: DType.allCases)
  func everyDtypeGoesAround(dtype: DType) throws {
    let shapes: [Shape] = [[8], [2, 4], [0], [3, 0, 5], [1, 1, 8]]
    let tensors = shapes.enumerated().compactMap {
      TensorInfo(name: "t\($0)", dtype: dtype, shape: $1)
    }
    #expect(tensors.count == shapes.count)
    let header = try SafetensorsHeader(reading: MemorySource(file(of: tensors)))
    #expect(Set(header.tensors.map(\.info)) == Set(tensors))
    for tensor in header.tensors { #expect(bytes(of: tensor) == testBytes(of: tensor.info)) }
  }

  @Test func wideTypesComeFirstAndAreAligned() throws {
    let tensors = DType.allCases.map { TensorInfo(name: "\($0)", dtype: $0, shape: [4])! }
    let layout = try SafetensorsLayout(tensors: tensors)
    #expect(layout.placements.map(\.info.dtype) == DType.allCases.reversed())
    for place in layout.placements where place.info.dtype.bits >= 8 {
      #expect(place.offset % (place.info.dtype.bits / 8) == 0)
    }
  }

  @Test(arguments: [
    (["a", "a"], "JSON-19"), ([""], "ST-16"), (["__metadata__"], "ST-16"),
    ([String(repeating: "é", count: 513)], "ST-16"), (["a\0b"], "JSON-17"),
  ])
  func unreadableNamesAreRefused(names: [String], expected: String) {
    let tensors = names.map { TensorInfo(name: $0, dtype: .u8, shape: [1])! }
    let failure = #expect(throws: Failure.self) { try SafetensorsLayout(tensors: tensors) }
    #expect(failure?.rule == expected)
    #expect(failure?.kind == .cannotRepresent)
  }

  @Test func otherRefusals() {
    let deep = TensorInfo(name: "a", dtype: .u8, shape: Shape(Array(repeating: 1, count: 33))!)!
    #expect(rule { try SafetensorsLayout(tensors: [deep]) } == "ST-15")
    #expect(rule { try SafetensorsLayout(tensors: [], metadata: ["a": "\0"]) } == "JSON-17")
    let huge = (0..<9).map { TensorInfo(name: "\($0)", dtype: .u8, shape: [1 << 60 - 1])! }
    #expect(rule { try SafetensorsLayout(tensors: huge) } == "ST-12")
    let long = ["a": String(repeating: "x", count: 100_000_001)]
    #expect(rule { try SafetensorsLayout(tensors: [], metadata: long) } == "ST-2")
  }

  @Test func namesThatDifferInNormalisationStandTogether() throws {
    let tensors = ["\u{E9}", "e\u{301}"].map { TensorInfo(name: $0, dtype: .u8, shape: [1])! }
    let header = try SafetensorsHeader(reading: MemorySource(file(of: tensors)))
    #expect(header.tensors.map { $0.name.utf8.count } == [3, 2])
  }
}
