import Checkpoints
import TensorCore
import TestKit
import Testing

/// What repair sets right, and what it leaves alone.
@Suite struct RepairTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  /// Repairs into `out` and checks that the source is untouched and the output in order.
  private func repaired(_ source: String) throws -> RepairReport {
    let before = try Files.contents(of: source)
    let plan = try RepairPlan(opening: source, threads: 2)
    let report = try plan.pour(to: folder.path("out"), sync: false, threads: 2)
    #expect(try Files.contents(of: source) == before)
    #expect(try ShardedTensors(opening: folder.path("out")).problems.isEmpty)
    #expect(FileSystem.kind(of: folder.path("out.unfinished")) == nil)
    // What was repaired needs no repair, and comes out the same.
    let second = try RepairPlan(opening: folder.path("out"))
    #expect(second.mends.isEmpty, "\(second.mends)")
    _ = try second.pour(to: folder.path("again"), sync: false)
    #expect(try Files.contents(of: folder.path("again")) == Files.contents(of: folder.path("out")))
    return report
  }

  private static let mended = [
    "JSON-19-tensor-twice-in-index", "JSON-4-text-behind-the-index", "SI-1-array",
    "SI-1-metadata-is-array", "SI-1-no-weight-map", "SI-1-shard-is-number",
    "SI-1-weight-map-is-array", "SI-2-absolute", "SI-2-only-dots", "SI-2-parent",
    "SI-2-subfolder", "SI-3-no-name", "SI-3-pickle", "SI-5-tensor-elsewhere",
    "SI-6-tensor-not-in-index", "SI-7-tensor-twice", "SI-7-tensor-twice-in-plain-files",
  ]

  @Test(arguments: try Fixtures.paths(in: "shard-index/invalid"))
  func invalidFolderIsMendedOrRefusedByItsRule(path: String) throws {
    let rule = Fixtures.rule(of: path)
    if Self.mended.contains(path.fileName) {
      let report = try repaired(path)
      #expect(report.mends.contains { $0.rule == rule }, "\(report.mends)")
    } else {
      let failure = try #require(throws: Failure.self) { try RepairPlan(opening: path) }
      #expect(failure.rule == rule, "\(failure)")
    }
  }

  @Test(arguments: try Fixtures.paths(in: "shard-index/findings"))
  func findingIsMended(path: String) throws {
    #expect(try repaired(path).mends.map(\.rule) == [Fixtures.rule(of: path)])
  }

  @Test(arguments: try Fixtures.paths(in: "safetensors/valid"))
  func validFileBecomesCanonical(path: String) throws {
    let lone = folder.path("lone")
    try FileSystem.makeFolder(lone)
    let bytes = try FileSystem.contents(of: path, limit: 1 << 20)
    try Files.write(bytes, to: lone + "/model.safetensors")
    let report = try repaired(lone)
    let output = try Files.contents(of: folder.path("out"))["model.safetensors"]
    #expect(report.mends.isEmpty == (output == bytes))
    #expect(report.mends.allSatisfy { ["ST-30", "ST-31", "ST-32"].contains($0.rule) })
  }

  @Test func checkpointInOrderIsCopied() throws {
    let healthy = try Converted(Samples.demo, to: "awq")
    let plan = try RepairPlan(opening: healthy.path)
    #expect(plan.mends.isEmpty)
    _ = try plan.pour(to: folder.path("out"), sync: false)
    #expect(try Files.contents(of: folder.path("out")) == healthy.files)
    // Another order of the tensors is legal, and made canonical.
    #expect(try RepairPlan(opening: Samples.demo).mends.map(\.rule) == ["ST-30"])
  }

  /// Three shards, the second without tensors, an index that counts wrong, bytes behind the first.
  @Test func severalThingsAtOnce() throws {
    let source = folder.path("in")
    try FileSystem.makeFolder(source)
    var shard = Model()
    shard.addDense("a", [4])
    try write(shard, to: source + "/model-00001-of-00003.safetensors", behind: [1, 2, 3])
    try write(Model(), to: source + "/model-00002-of-00003.safetensors")
    var last = Model()
    last.addDense("b", [2])
    try write(last, to: source + "/model-00003-of-00003.safetensors")
    let map = #"{"a":"model-00001-of-00003.safetensors","b":"model-00003-of-00003.safetensors"}"#
    try Files.write(
      #"{"metadata":{"total_size":1,"more":2},"weight_map":\#(map)}"#,
      to: source + "/model.safetensors.index.json")
    try Files.write("{}", to: source + "/config.json")
    try Files.write("stale", to: source + "/" + Manifest.fileName)
    let report = try repaired(source)
    #expect(Set(report.mends.map(\.rule)) == ["ST-8", "SI-20", "SI-5", "SI-8"])
    #expect(
      try FileSystem.names(in: folder.path("out")) == [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
      ])
    let index = try ShardIndex(path: folder.path("out/model.safetensors.index.json"))
    #expect(index.totalBytes == 12)
    #expect(index.metadata["more"]?.int == 2)
    let new = try ShardedTensors(opening: folder.path("out"))
    #expect(new.tensors.map(\.info.name) == ["a", "b"])
    #expect(try Files.bytes(of: #require(new["a"])) == [1, 0x30, 2, 0x30, 3, 0x30, 4, 0x30])
    #expect(try Files.bytes(of: #require(new["b"])) == [1, 0x30, 2, 0x30])
  }

  @Test func missingIndexIsMade() throws {
    let source = folder.path("in")
    try Files.copy(Fixtures.path("shard-index/valid/two-shards"), to: source)
    let old = try Files.contents(of: source)
    try FileSystem.removeFolder(source + "/model.safetensors.index.json")
    let report = try repaired(source)
    #expect(report.mends.map(\.rule) == ["SI-21"])
    #expect(try Files.contents(of: folder.path("out")) == old)
  }

  @Test func copiesThatDifferAreRefused() throws {
    let source = folder.path("in")
    try FileSystem.makeFolder(source)
    for (number, seed) in [(1, 1), (2, 9)] as [(Int, UInt8)] {
      var shard = Model()
      shard.addDense("a", [4], seed: seed)
      try write(shard, to: source + "/model-0000\(number)-of-00002.safetensors")
    }
    let failure = try #require(throws: Failure.self) { try RepairPlan(opening: source) }
    #expect(failure.rule == "SI-7")
  }

  @Test func outputNeverTouchesTheSource() throws {
    let source = folder.path("in")
    try Files.copy(Fixtures.path("shard-index/findings/SI-8-total-size-is-text"), to: source)
    let before = try Files.contents(of: source)
    let plan = try RepairPlan(opening: source)
    for path in [source, source + "/out", folder.path] {
      let failure = try #require(throws: Failure.self) { try plan.pour(to: path, force: true) }
      #expect(failure.kind == .usage)
    }
    try FileSystem.makeFolder(folder.path("taken"))
    try Files.write("mine", to: folder.path("taken/file"))
    #expect(throws: Failure.self) { try plan.pour(to: folder.path("taken")) }
    #expect(throws: Failure.self) { try plan.pour(to: folder.path("taken"), force: true) }
    #expect(try Files.contents(of: source) == before)
    #expect(try folder.names() == ["in", "taken"])
  }

  private func write(_ model: Model, to path: String, behind: [UInt8] = []) throws {
    let one = folder.path("one")
    try model.write(to: one)
    let bytes = try FileSystem.contents(of: one + "/model.safetensors", limit: 1 << 20)
    try Files.write(bytes + behind, to: path)
    try FileSystem.removeFolder(one)
  }
}
