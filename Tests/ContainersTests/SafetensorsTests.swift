import TensorCore
import TestKit
import Testing

@testable import Containers

@Suite struct SafetensorsTests {
  @Test func exampleSaysWhatThePageSays() throws {
    let file = try InputFile(path: Fixtures.path("safetensors/valid/example.safetensors"))
    let header = try SafetensorsHeader(reading: file)
    #expect(header.length == 0x58)
    #expect(header.dataOffset == 0x60)
    #expect(header.metadata == JSONObject(["format": "pt"]))
    let tensor = try #require(header.tensors.first)
    #expect(header.tensors.count == 1)
    #expect(tensor.info == TensorInfo(name: "w", dtype: .i8, shape: [2]))
    #expect(tensor.offset == 0x60)
    #expect(bytes(of: tensor) == [0, 0])
  }

  @Test func tensorsComeInTheOrderOfTheirBytes() throws {
    let path = Fixtures.path("safetensors/valid/header-order-is-not-offset-order.safetensors")
    let header = try SafetensorsHeader(reading: InputFile(path: path))
    #expect(header.tensors.map(\.name) == ["b", "a"])
    #expect(bytes(of: header.tensors[1]) == [4, 5, 6])
  }

  @Test func namesAreToldApartByTheirBytes() throws {
    let path = Fixtures.path("safetensors/valid/names-equal-but-for-normalisation.safetensors")
    let checkpoint = try ShardedTensors(opening: path)
    #expect(checkpoint.tensors.map { Array($0.name.utf8).count } == [3, 2])
    #expect(bytes(of: checkpoint["e\u{301}"]) == [1])
    #expect(bytes(of: checkpoint["\u{E9}"]) == [0])
  }

  @Test func escapesInNamesAreDecoded() throws {
    let path = Fixtures.path("safetensors/valid/escaped-name.safetensors")
    #expect(try SafetensorsHeader(reading: InputFile(path: path)).tensors[0].name == "a/\"\t")
  }

  @Test func limitsAreKept() throws {
    let source = MemorySource(
      try SafetensorsLayout(tensors: [info("one"), info("two")]).header + [1, 2])
    #expect(try SafetensorsHeader(reading: source).tensors.count == 2)
    var limits = SafetensorsLimits.standard
    limits.tensors = 1
    #expect(rule { try SafetensorsHeader(reading: source, limits: limits) } == "ST-17")
    limits = .standard
    limits.nameBytes = 2
    #expect(rule { try SafetensorsHeader(reading: source, limits: limits) } == "ST-16")
    limits = .standard
    limits.rank = 0
    #expect(rule { try SafetensorsHeader(reading: source, limits: limits) } == "ST-15")
    limits = .standard
    limits.headerBytes = 64
    #expect(rule { try SafetensorsHeader(reading: source, limits: limits) } == "ST-2")
  }

  @Test func headerOfAGigabyteIsNotRead() throws {
    let folder = try TemporaryFolder()
    let file = try OutputFile(path: folder.path("big.safetensors"))
    try file.write([0, 0, 0, 0x40, 0, 0, 0, 0] + Array("{}".utf8), at: 0)
    try file.commit(byteCount: 2 << 30, sync: false)
    #expect(rule { try ShardedTensors(opening: file.path) } == "ST-2")
  }

  /// A valid file that begins like another kind is opened; an invalid one is not called by it.
  @Test func recognitionNeverOverrulesTheFormat() throws {
    let path = Fixtures.path("safetensors/valid/looks-like-pickle.safetensors")
    var bytes = try FileSystem.contents(of: path, limit: 10_000)
    #expect(bytes.starts(with: [0x80, 2]))
    #expect(throws: Never.self) { try SafetensorsHeader(reading: MemorySource(bytes)) }
    bytes[9] = UInt8(ascii: "'")
    #expect(rule { try SafetensorsHeader(reading: MemorySource(bytes)) } == "JSON-9")
    bytes[8] = UInt8(ascii: "[")
    #expect(rule { try SafetensorsHeader(reading: MemorySource(bytes)) }?.hasPrefix("JSON") == true)
  }

  @Test func failureNamesFileTensorAndRule() throws {
    let path = Fixtures.path("safetensors/invalid/ST-9-bytes-too-few.safetensors")
    let failure = try #require(throws: Failure.self) { try ShardedTensors(opening: path) }
    #expect(
      failure.description.hasSuffix(
        "ST-9-bytes-too-few.safetensors: tensor \"a\": F16 [2] and data_offsets disagree: "
          + "expected 4 bytes, found 3 (ST-9)"))
  }

  private func info(_ name: String) -> TensorInfo {
    TensorInfo(name: name, dtype: .u8, shape: [1])!
  }
}

/// The rule of the failure that `body` throws; nil where it throws none.
func rule<Result>(_ body: () throws -> Result) -> String? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? Failure)?.rule
  }
}

/// The bytes of a tensor as an array; nil where it is absent or unreadable.
func bytes(of tensor: Tensor?) -> [UInt8]? {
  guard let block = try? tensor?.contents() else { return nil }
  return block.bytes.array
}
