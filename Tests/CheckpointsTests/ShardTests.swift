import Checkpoints
import Kernels
import TensorCore
import TestKit
import Testing

/// Checkpoints in several files, on both sides of a conversion.
@Suite struct ShardTests {
  @Test func outputIsCutIntoShards() throws {
    let whole = try Converted(Samples.demo, to: "gptq_v2")
    let cut = try Converted(Samples.demo, to: "gptq_v2") { $0.maxShardBytes = 50_000 }
    #expect(cut.plan.shards.shards.count > 3)
    #expect(cut.output.tensors.files.map(\.name) == cut.plan.shards.shards.map(\.name))
    #expect(cut.output.tensors.files.map(\.size) == cut.plan.shards.shards.map(\.layout.byteCount))
    #expect(cut.output.tensors.index != nil)
    #expect(cut.output.findings.isEmpty)
    #expect(try isSame(whole.output, cut.output))
    // From shards onwards, to one file again.
    let joined = try Converted(cut.path, to: "gptq_v2")
    #expect(try joined.files == whole.files)
    #expect(try FileSystem.names(in: joined.path).contains(cut.plan.shards.indexName) == false)
  }

  @Test func sourceMayBeAFolderAFileOrAnIndex() throws {
    let index = Samples.sharded + "/model.safetensors.index.json"
    let folder = try Converted(Samples.sharded, to: "awq")
    let byIndex = try Converted(index, to: "awq")
    #expect(try folder.files == byIndex.files)
    #expect(folder.source.tensors.files.count == 2)
    let file = try Converted(Samples.demo + "/model.safetensors", to: "awq")
    #expect(try file.files == Converted(Samples.demo + "/", to: "awq").files)
    #expect(file.plan.sideFiles.carried.contains("tokenizer.json"))
  }

  /// A shard alone is a checkpoint whose other layers are elsewhere.
  @Test func oneShardHoldsItsOwnTensors() throws {
    let shard = try Checkpoint(
      opening: Samples.sharded + "/model-00001-of-00002.safetensors")
    let all = try Checkpoint(opening: Samples.sharded)
    #expect(shard.tensors.tensors.count < all.tensors.tensors.count)
  }

  private func isSame(_ a: Checkpoint, _ b: Checkpoint) throws -> Bool {
    guard a.tensors.tensors.map(\.info) == b.tensors.tensors.map(\.info) else { return false }
    return try zip(a.tensors.tensors, b.tensors.tensors).allSatisfy { try Bytes.same($0, $1) }
  }

  /// Metadata may hold two keys that are one text.
  @Test func metadataThatDiffersInNormalisationIsNoTrap() throws {
    let folder = try TemporaryFolder()
    let text = "{\"__metadata__\":{\"\u{E9}\":\"1\",\"e\u{301}\":\"2\"}}"
    let header = Array(text.utf8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> ($0 * 8)) }
    try Files.write(length + header, to: folder.path("x.safetensors"))
    let failure = #expect(throws: Failure.self) {
      try OptimizerStates(opening: folder.path("x.safetensors"))
    }
    #expect(failure?.rule == "BNBO-2")
  }

  /// Layers are found by text; the container tells such names apart by their bytes.
  @Test func namesThatDifferInNormalisationAreRefused() throws {
    let path = Fixtures.path("safetensors/valid/names-equal-but-for-normalisation.safetensors")
    let failure = #expect(throws: Failure.self) { try Checkpoint(opening: path) }
    #expect(failure?.kind == .unsupported)
  }
}
