import TensorCore
import TestKit
import Testing

@testable import Containers

@Suite struct ShardLayoutTests {
  /// What the peer's splitter and index writer made of the same sizes.
  @Test func splitsLikeThePeer() throws {
    let path = Fixtures.path("shard-index/golden/splits.json")
    let text = try FileSystem.contents(of: path, limit: 100_000)
    let parsed = try JSON(parsing: text, at: path)
    let cases = try #require(parsed.array)
    #expect(cases.count == 23)
    for split in cases {
      let sizes = (split["sizes"]?.array ?? []).compactMap(\.int)
      let limit = try #require(split["limit"]?.int)
      let layout = try ShardLayout(tensors: tensors(sizes), maxShardBytes: limit)
      let files = try #require(split["files"]?.object)
      #expect(layout.shards.map(\.name) == files.keys, "\(sizes)")
      for shard in layout.shards {
        let names = Set(shard.layout.placements.map(\.info.name))
        let expected = (files[shard.name]?.array ?? []).compactMap(\.string)
        #expect(names == Set(expected), "\(sizes)")
      }
      #expect(layout.index.map { String(decoding: $0, as: UTF8.self) } == split["index"]?.string)
    }
  }

  /// The example of the page, all three files.
  @Test func exampleIsWrittenByteForByte() throws {
    let folder = "shard-index/valid/two-shards/"
    let tensors = try ShardedTensors(opening: Fixtures.path(folder)).tensors.map(\.info)
    let layout = try ShardLayout(tensors: tensors, metadata: ["format": "pt"], maxShardBytes: 5)
    let index = try FileSystem.contents(of: Fixtures.path(folder + layout.indexName), limit: 1000)
    #expect(layout.index == index)
    for shard in layout.shards {
      let file = try FileSystem.contents(of: Fixtures.path(folder + shard.name), limit: 1000)
      #expect(file.starts(with: shard.layout.header))
      #expect(file.count == shard.layout.byteCount)
    }
  }

  @Test func sizesAbove32BitsAreCounted() throws {
    let layout = try ShardLayout(
      tensors: tensors([3 << 32, 3 << 32, 1 << 31, 1 << 31]), maxShardBytes: 5_000_000_000)
    #expect(layout.shards.count == 3)
    #expect(layout.totalSize == 7 << 32)
    #expect(layout.shards.map(\.layout.placements.count) == [1, 1, 2])
    let index = try #require(layout.index)
    let top = try JSON(parsing: index, at: "index")
    #expect(top["metadata"]?["total_size"]?.int == 7 << 32)
  }

  @Test func noTensorsGiveOneEmptyFile() throws {
    let layout = try ShardLayout(tensors: [], maxShardBytes: 1)
    #expect(layout.shards.map(\.name) == ["model.safetensors"])
    #expect(layout.shards[0].layout.byteCount == 16)
    #expect(layout.index == nil)
    #expect(layout.totalSize == 0)
  }

  @Test func everyShardCarriesTheMetadata() throws {
    let layout = try ShardLayout(
      tensors: tensors([4, 4]), metadata: ["format": "mlx"], maxShardBytes: 4, stem: "weights")
    #expect(
      layout.shards.map(\.name) == [
        "weights-00001-of-00002.safetensors", "weights-00002-of-00002.safetensors",
      ])
    #expect(layout.indexName == "weights.safetensors.index.json")
    for shard in layout.shards {
      let text = String(decoding: shard.layout.header, as: UTF8.self)
      #expect(text.contains("\"__metadata__\":{\"format\":\"mlx\"}"))
    }
  }

  @Test func refusals() {
    #expect(throws: Failure.self) { try ShardLayout(tensors: [], maxShardBytes: 0) }
    let twice = tensors([1]) + tensors([1])
    #expect(rule { try ShardLayout(tensors: twice, maxShardBytes: 1) } == "JSON-19")
    let huge = tensors(Array(repeating: 1 << 60 - 1, count: 9))
    #expect(rule { try ShardLayout(tensors: huge, maxShardBytes: 1 << 60) } == "ST-12")
  }

  @Test(arguments: 0..<20)
  func whatIsWrittenIsRead(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    let folder = try TemporaryFolder()
    let infos = randomTensors(Int.random(in: 1...30, using: &generator), using: &generator)
    let layout = try ShardLayout(
      tensors: infos, metadata: ["format": "pt"],
      maxShardBytes: Int.random(in: 1...600, using: &generator))
    for shard in layout.shards {
      let data = shard.layout.placements.flatMap { testBytes(of: $0.info) }
      try folder.write(shard.layout.header + data, to: shard.name)
    }
    if let index = layout.index { try folder.write(index, to: layout.indexName) }
    let checkpoint = try ShardedTensors(opening: folder.path)
    #expect(checkpoint.problems.isEmpty)
    #expect(checkpoint.files.map(\.name) == layout.shards.map(\.name))
    #expect((checkpoint.index == nil) == (layout.shards.count == 1))
    #expect(Set(checkpoint.tensors.map(\.info)) == Set(infos))
    for info in infos {
      #expect(bytes(of: checkpoint[info.name]) == testBytes(of: info), "\(generator)")
    }
  }

  private func tensors(_ sizes: [Int]) -> [TensorInfo] {
    sizes.enumerated().map { position, size in
      let name = (position < 10 ? "t0" : "t") + String(position)
      return TensorInfo(name: name, dtype: .u8, shape: Shape([size])!)!
    }
  }
}
