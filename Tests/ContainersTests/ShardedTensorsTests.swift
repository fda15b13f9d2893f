import TensorCore
import TestKit
import Testing

@testable import Containers

@Suite struct ShardedTensorsTests {
  @Test func folderFileAndIndexGiveTheSame() throws {
    let folder = Fixtures.path("shard-index/valid/two-shards")
    for path in [folder, folder + "/", folder + "/model.safetensors.index.json"] {
      let checkpoint = try ShardedTensors(opening: path)
      #expect(checkpoint.folder == folder)
      #expect(checkpoint.files.map(\.name) == [one, two])
      #expect(checkpoint.tensors.map(\.name) == ["a", "b", "c"])
      #expect(checkpoint.index?["b"] == two)
      #expect(checkpoint.index?["none"] == nil)
      #expect(checkpoint["none"] == nil)
      #expect(bytes(of: checkpoint["c"]) == [4])
    }
    let alone = try ShardedTensors(opening: folder + "/" + two)
    #expect(alone.tensors.map(\.name) == ["b", "c"])
    #expect(alone.index == nil)
    #expect(alone.folder == folder)
  }

  @Test(arguments: [
    ("beside-unrelated-files", ["model.safetensors"]),
    ("shards-beside-unrelated-file", [one, two]), ("numbered-beside-unrelated-file", [one, two]),
    ("adapter-alone", ["adapter_model.safetensors"]),
    ("two-plain-files", ["first.safetensors", "second.safetensors"]),
    ("two-shards-without-index", [one, two]), ("index-of-one-file", ["model.safetensors"]),
  ])
  func theModelIsChosen(fixture: String, expected: [String]) throws {
    let checkpoint = try ShardedTensors(opening: Fixtures.path("shard-index/valid/" + fixture))
    #expect(checkpoint.files.map(\.name) == expected)
  }

  @Test func filesOfSomethingElseAreNamed() throws {
    let path = Fixtures.path("shard-index/valid/beside-unrelated-files")
    #expect(
      try ShardedTensors(opening: path).unused == [
        "adapter_model.safetensors", "consolidated.safetensors",
      ])
  }

  @Test func leniencyTakesTheTensorTheIndexNames() throws {
    let folder = try TemporaryFolder()
    let a = TensorInfo(name: "a", dtype: .u8, shape: [1])!
    let header = try SafetensorsLayout(tensors: [a]).header
    for (name, byte) in [("x.safetensors", 1), ("y.safetensors", 2)] as [(String, UInt8)] {
      try folder.write(header + [byte], to: name)
    }
    let index = #"{"weight_map":{"a":"y.safetensors","b":"x.safetensors"}}"#
    let path = try folder.write(Array(index.utf8), to: "m.safetensors.index.json")
    #expect(rule { try ShardedTensors(opening: path) } == "SI-7")
    let checkpoint = try ShardedTensors(opening: path, strict: false)
    #expect(checkpoint.problems.map(\.rule) == ["SI-7", "SI-5"])
    #expect(checkpoint.tensors.count == 1)
    #expect(bytes(of: checkpoint["a"]) == [2])
  }

  @Test func leniencyLeavesUnreadableShardsOut() throws {
    let path = Fixtures.path("shard-index/invalid/SI-4-shard-missing")
    let checkpoint = try ShardedTensors(opening: path, strict: false)
    #expect(checkpoint.files.map(\.name) == [one])
    #expect(checkpoint.problems.map(\.rule) == ["SI-4"])
    #expect(checkpoint.tensors.map(\.name) == ["a"])
  }

  @Test func missingPathsAndDevicesAreRefused() {
    #expect(throws: Failure.self) { try ShardedTensors(opening: "/nowhere/at/all") }
    #expect(throws: Failure.self) { try ShardedTensors(opening: "/dev/null") }
    #expect(throws: Failure.self) { try ShardedTensors(opening: "") }
  }

  @Test(arguments: [
    ("model-00002-of-00003.safetensors", 2, 3), ("a-b-00001-of-00001.safetensors", 1, 1),
    ("m-123456-of-123457.safetensors", 123_456, 123_457),
  ])
  func shardNamesGoAround(text: String, number: Int, total: Int) throws {
    let name = try #require(ShardName(text))
    #expect((name.number, name.total) == (number, total))
    #expect(name.text == text)
  }

  @Test(arguments: [
    "model.safetensors", "model-00000-of-00003.safetensors", "model-00004-of-00003.safetensors",
    "model-0001-of-0003.safetensors", "model-00001-of-00003.bin", "00001-of-00003.safetensors",
    "model-00001-or-00003.safetensors", "model-+0001-of-00003.safetensors", "of-of-of",
    "model-99999999999999999999-of-99999999999999999999.safetensors",
  ])
  func otherNamesAreNoShards(text: String) {
    #expect(ShardName(text) == nil)
  }
}

private let one = "model-00001-of-00002.safetensors"
private let two = "model-00002-of-00002.safetensors"
