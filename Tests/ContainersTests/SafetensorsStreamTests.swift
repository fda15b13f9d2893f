import TensorCore
import TestKit
import Testing

@testable import Containers

@Suite struct SafetensorsStreamTests {
  @Test(arguments: 0..<20)
  func whatIsStreamedIsRead(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let folder = try TemporaryFolder()
    let tensors = randomTensors(Int.random(in: 0...30, using: &generator), using: &generator)
    let stream = try SafetensorsStream(
      to: OutputFile(path: folder.path("a.safetensors")), names: tensors.map(\.name),
      metadata: ["format": "pt"])
    for info in tensors { try append(info, to: stream) }
    let size = try stream.finish(sync: false)
    let checkpoint = try ShardedTensors(opening: folder.path)
    let file = try #require(checkpoint.files.first)
    #expect(file.size == size)
    #expect(file.header.dataOffset == stream.dataOffset)
    #expect(file.header.length % 8 == 0)
    #expect(file.header.metadata == JSONObject(["format": "pt"]))
    // Empty tensors may change places with the one behind them, of the same offset.
    let placed = tensors.filter { $0.byteCount > 0 }
    #expect(file.header.tensors.map(\.info).filter { $0.byteCount > 0 } == placed)
    #expect(file.header.tensors.count == tensors.count)
    for tensor in checkpoint.tensors {
      #expect(bytes(of: tensor) == testBytes(of: tensor.info), "\(tensor.info) of \(generator)")
    }
    #expect(try folder.names() == ["a.safetensors"])
  }

  @Test func longestEntryIsEnough() throws {
    let folder = try TemporaryFolder()
    let name = "\u{1}\"" + String(repeating: "n", count: 100)
    let stream = try SafetensorsStream(
      to: OutputFile(path: folder.path("a.safetensors")), names: [name])
    let shape: Shape = [0, Int.max, Int.max, Int.max]
    _ = try stream.place(try #require(TensorInfo(name: name, dtype: .f8e5m2fnuz, shape: shape)))
    try stream.finish(sync: true)
    #expect(try ShardedTensors(opening: folder.path).tensors.map(\.name) == [name])
  }

  @Test func fewerTensorsThanAnnouncedLeaveBlanks() throws {
    let folder = try TemporaryFolder()
    let stream = try SafetensorsStream(
      to: OutputFile(path: folder.path("a.safetensors")), names: (0..<100).map { "name \($0)" })
    try append(TensorInfo(name: "name 7", dtype: .u8, shape: [5])!, to: stream)
    try stream.finish(sync: false)
    let checkpoint = try ShardedTensors(opening: folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["name 7"])
    #expect(checkpoint.files[0].header.length > 10_000)
  }

  @Test func unannouncedTensorsAreRefusedBeforeTheyOverwriteData() throws {
    let folder = try TemporaryFolder()
    let stream = try SafetensorsStream(
      to: OutputFile(path: folder.path("a.safetensors")), names: ["a"])
    try append(TensorInfo(name: "a", dtype: .u8, shape: [1])!, to: stream)
    let other = TensorInfo(name: String(repeating: "b", count: 200), dtype: .u8, shape: [1])!
    #expect(rule { try stream.place(other) } == "ST-33")
    try stream.finish(sync: false)
    #expect(try ShardedTensors(opening: folder.path).tensors.count == 1)
  }

  @Test func failureLeavesNothingBehind() throws {
    let folder = try TemporaryFolder()
    do {
      let stream = try SafetensorsStream(
        to: OutputFile(path: folder.path("a.safetensors")), names: ["a", "a"])
      for _ in 0..<2 { try append(TensorInfo(name: "a", dtype: .u8, shape: [1])!, to: stream) }
      #expect(try folder.names() == ["a.safetensors.partial"])
      #expect(rule { try stream.finish(sync: false) } == "JSON-19")
      #expect(rule { try stream.place(TensorInfo(name: "", dtype: .u8, shape: [1])!) } == "ST-16")
    }
    #expect(try folder.names().isEmpty)
  }

  @Test func headersThatCouldBecomeTooLongAreRefused() throws {
    let folder = try TemporaryFolder()
    let names = Array(repeating: "x", count: 200_000)
    let failure = rule {
      try SafetensorsStream(to: OutputFile(path: folder.path("a")), names: names, maxRank: 32)
    }
    #expect(failure == "ST-2")
    #expect(try folder.names().isEmpty)
  }

  private func append(_ info: TensorInfo, to stream: SafetensorsStream) throws {
    let bytes = testBytes(of: info)
    // SAFETY: every byte of an array is initialised.
    try unsafe stream.append(info, bytes: bytes.span.bytes)
  }
}
