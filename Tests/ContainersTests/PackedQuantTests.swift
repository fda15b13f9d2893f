import Kernels
import TensorCore
import TestKit
import Testing

@testable import Containers

@Suite("packed-quant containers")
struct PackedQuantTests {
  @Test("every file comes back byte for byte", arguments: [1, 3, 12])
  func roundTrip(level: Int) throws {
    let sources = try PackedSamples.sources(chunks: 4)
    let container = try PackedQuantFile(PackedSamples.container(sources, level: level))
    #expect(try container.check() == [])
    for (index, source) in sources.enumerated() {
      let bytes = try source.source.contents(0..<source.source.size)
      #expect(try container.contents(index) == bytes, "\(source.path)")
      for (number, blob) in source.blobs.enumerated() {
        var block = AlignedBytes(count: blob.range.count)
        var span = block.mutableBytes
        try container.read(into: &span, file: index, blob: number, threads: 2)
        #expect(block.bytes.array == Array(bytes[blob.range]))
      }
    }
  }

  @Test("the number of threads changes nothing")
  func threads() throws {
    let sources = try PackedSamples.sources(chunks: 600)
    let one = try PackedSamples.container(sources, threads: 1)
    #expect(try PackedSamples.container(sources, threads: 5) == one)
    #expect(try PackedQuantFile(one).check(threads: 3) == [])
    #expect(one.count < sources.reduce(0) { $0 + $1.source.size })
  }

  @Test("any range of a file can be read alone")
  func ranges() throws {
    let sources = try PackedSamples.sources(chunks: 60)
    let container = try PackedQuantFile(PackedSamples.container(sources))
    let whole = try sources[2].source.contents(0..<sources[2].source.size)
    let restored = RestoredFile(container, file: 2)
    var random = SplitMix64(seed: 0xA1)
    for _ in 0..<200 {
      let start = Int.random(in: 0...whole.count, using: &random)
      let end = Int.random(in: start...min(whole.count, start + 5000), using: &random)
      #expect(try restored.contents(start..<end) == Array(whole[start..<end]), "\(start)..<\(end)")
    }
    #expect(throws: Failure.self) { try restored.contents(0..<whole.count + 1) }
  }

  @Test("what does not shrink can be mapped")
  func mapping() throws {
    var random = SplitMix64(seed: 0xA2)
    let bytes = random.bytes(3 * PackedQuant.chunkBytes + 777)
    let source = PackedQuantSource(path: "noise", plain: MemorySource(bytes))
    let container = try PackedSamples.container([source])
    let opened = try PackedQuantFile(container)
    let range = try #require(opened.directory.files[0].blobs[0].mappable)
    #expect(range.lowerBound % 64 == 0)
    #expect(Array(container[range]) == bytes)
    #expect(container.count < bytes.count + bytes.count / 1000)
  }

  @Test("constant streams take a byte")
  func constants() throws {
    let bytes = [UInt8](repeating: 0x77, count: 5000)
    let source = PackedQuantSource(path: "zeros", plain: MemorySource(bytes))
    let container = try PackedQuantFile(PackedSamples.container([source]))
    let piece = container.directory.files[0].blobs[0].chunks[0].pieces[0]
    #expect(piece == .init(encoding: .constant, stored: 1))
    #expect(try container.contents(0) == bytes)
  }

  @Test("a container opens as the folder it was made from")
  func folder() throws {
    let temporary = try TemporaryFolder()
    let sources = try PackedSamples.sources()
    let path = try temporary.write(PackedSamples.container(sources), to: "m.pquant")
    let tensors = try ShardedTensors(opening: path)
    #expect(tensors.files.map(\.name) == ["model.safetensors"])
    #expect(tensors.container != nil)
    for sample in try TensorSample.all(repeats: 1) {
      let tensor = try #require(tensors[sample.info.name])
      #expect(tensor.info == sample.info)
      let range = tensor.offset..<tensor.offset + tensor.byteCount
      #expect(try tensor.source.contents(range) == sample.bytes)
    }
    #expect(try tensors.contents.paths() == sources.map(\.path))
    #expect(try tensors.contents.names() == ["config.json", "empty", "model.safetensors"])
    #expect(try tensors.contents.open("config") == nil)
  }

  /// A safetensors header that tells other tensors than the directory.
  @Test func headersMustAgree() throws {
    let source = try PackedSamples.sources()[2]
    let named = source.blobs.map { blob in
      let info = blob.tensor.flatMap {
        TensorInfo(name: $0.name + "x", dtype: $0.dtype, shape: $0.shape)
      }
      return PackedQuantSource.Blob(tensor: info, range: blob.range, transform: blob.transform)
    }
    let other = PackedQuantSource(path: source.path, source: source.source, blobs: named)
    let temporary = try TemporaryFolder()
    let path = try temporary.write(PackedSamples.container([other]), to: "m.pquant")
    #expect(throws: Failure.self) { try ShardedTensors(opening: path) }
    #expect(rule { try ShardedTensors(opening: path) } == "PQ-32")
  }

  @Test("what no reader would take is not written", arguments: ["../a", "/a", "a//b", "", "a/\n"])
  func refusedPaths(path: String) {
    let source = PackedQuantSource(path: path, plain: MemorySource([1]))
    #expect(rule { try PackedQuantWriter([source], writer: "test") } == "PQ-14")
  }

  @Test func refusedLevels() {
    for level in [0, 23] {
      #expect(throws: Failure.self) { try PackedQuantWriter([], writer: "test", level: level) }
    }
  }

  /// Containers that were written before must be read for ever.
  @Test(arguments: try Fixtures.paths(in: "packed-quant/valid"))
  func fixture(path: String) throws {
    let container = try PackedQuantFile(path: path)
    #expect(try container.check() == [])
    #expect(!container.directory.files.isEmpty)
  }

  @Test func restoredFixture() throws {
    let container = try PackedQuantFile(
      path: Fixtures.path("packed-quant/valid/gptq-3-bit.pquant"))
    let folder = DiskFolder(Fixtures.path("gptq/golden/gptq-llamanano-w3g128-sym"))
    #expect(try container.directory.files.map(\.path) == folder.paths())
    for (index, file) in container.directory.files.enumerated() {
      let source = try #require(try folder.open(file.path))
      #expect(try container.contents(index) == source.contents(0..<source.size))
    }
  }
}
