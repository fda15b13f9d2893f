import Checkpoints
import TensorCore
import TestKit
import Testing

/// Manifests: what they say, what a changed checkpoint makes of them, and what is no manifest.
@Suite struct ManifestTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path("model")
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.addDense("model.norm.weight", [64])
    model.config = Model.gptqConfig()
    model.others = ["tokenizer.json": "{}", "code/model.py": "pass", ".hidden": "x"]
    try model.write(to: path)
  }

  private func made() throws -> Manifest {
    try Manifest(of: path, ShardedTensors(opening: path), threads: 2)
  }

  private func writeManifest() throws {
    try Files.write(try made().bytes, to: path + "/" + Manifest.fileName)
  }

  private func rules() throws -> [String] {
    try Verification(of: path, threads: 2).findings.compactMap(\.failure.rule)
  }

  @Test func everyFileAndTensorIsThereWithItsDigest() throws {
    let manifest = try made()
    #expect(
      manifest.files.map(\.path)
        == ["code/model.py", "config.json", "model.safetensors", "tokenizer.json"])
    #expect(manifest.files.filter(\.holdsTensors).map(\.path) == ["model.safetensors"])
    let tensors = try ShardedTensors(opening: path).tensors
    #expect(manifest.tensors.map(\.info) == tensors.map(\.info))
    for (entry, tensor) in zip(manifest.tensors, tensors) {
      let bytes = try Files.bytes(of: tensor)
      #expect(entry.digest == SHA256.hex(of: bytes.rawSpan))
      #expect(entry.file == "model.safetensors")
    }
    let whole = try Files.contents(of: path)
    for file in manifest.files {
      let bytes = try #require(whole[file.path])
      #expect(file.byteCount == bytes.count)
      let count = file.holdsTensors ? tensors.map(\.offset).min()! : bytes.count
      let part = Array(bytes.prefix(count))
      #expect(file.digest == SHA256.hex(of: part.rawSpan))
    }
  }

  @Test func textIsReadBackAndTheSameForAllThreads() throws {
    let manifest = try made()
    #expect(try Manifest(parsing: manifest.bytes, at: "text") == manifest)
    let alone = try Manifest(of: path, ShardedTensors(opening: path), threads: 1)
    #expect(alone.bytes == manifest.bytes)
    let valid = Fixtures.path("manifest/valid/two-shards.json")
    let text = try FileSystem.contents(of: valid, limit: 10_000)
    #expect(try Manifest(path: valid).bytes == text)
    let source = Fixtures.path("shard-index/valid/two-shards")
    #expect(try Manifest(of: source, ShardedTensors(opening: source)).bytes == text)
  }

  @Test func loneFileSpeaksOfItselfAlone() throws {
    let file = path + "/model.safetensors"
    let manifest = try Manifest(of: file, ShardedTensors(opening: file))
    #expect(manifest.files.map(\.path) == ["model.safetensors"])
    #expect(manifest.tensors.count == 5)
  }

  @Test(arguments: try Fixtures.paths(in: "manifest/invalid"))
  func invalidManifestIsRefusedByItsRule(fixture: String) throws {
    let failure = try #require(throws: Failure.self) { try Manifest(path: fixture) }
    #expect(failure.rule == Fixtures.rule(of: fixture), "\(failure)")
    // Verify reports it and goes on.
    let text = try FileSystem.contents(of: fixture, limit: 10_000)
    try Files.write(text, to: path + "/" + Manifest.fileName)
    let result = try Verification(of: path, threads: 2)
    #expect(result.findings.map(\.failure.rule) == [Fixtures.rule(of: fixture)])
    #expect(!result.isClean)
  }

  @Test func everyReadingRuleHasAFixture() throws {
    let rules = Set(try Fixtures.paths(in: "manifest/invalid").map(Fixtures.rule))
    for number in 1...6 { #expect(rules.contains("MAN-\(number)")) }
  }

  @Test(arguments: 0..<200)
  func damagedManifestGivesAFailureOrAManifest(seed: UInt64) throws {
    var generator = SplitMix64(seed: seed)
    var damaged = try FileSystem.contents(
      of: Fixtures.path("manifest/valid/two-shards.json"), limit: 10_000)
    for _ in 0..<3 {
      damaged[Int.random(in: 0..<damaged.count, using: &generator)] =
        UInt8.random(in: 0x20...0x7E, using: &generator)
    }
    do {
      let manifest = try Manifest(parsing: damaged, at: "text")
      #expect(manifest.files.allSatisfy { !$0.path.hasPrefix("/") && !$0.path.contains("../") })
    } catch {
      #expect((error as? Failure)?.rule != nil, "\(generator): \(error)")
    }
  }

  @Test func untouchedCheckpointMatches() throws {
    try writeManifest()
    #expect(try rules().isEmpty)
    #expect(try made() == Manifest(path: path + "/" + Manifest.fileName))
  }

  @Test func eachChangeIsAFindingOfItsOwn() throws {
    try writeManifest()
    try Files.write("[]", to: path + "/tokenizer.json")
    #expect(try rules() == ["MAN-12"])
    try Files.write("{} ", to: path + "/tokenizer.json")
    #expect(try rules() == ["MAN-12"])
    try FileSystem.removeFolder(path + "/tokenizer.json")
    #expect(try rules() == ["MAN-10"])
    try Files.write("new", to: path + "/code/new.py")
    #expect(try rules() == ["MAN-11", "MAN-10"])
    try Files.write("hidden", to: path + "/.new")
    #expect(try rules() == ["MAN-11", "MAN-10"])
    let kinds = try Verification(of: path).findings.map(\.failure.kind)
    #expect(kinds == [.differs, .differs])
  }

  @Test func oneFlippedBitOfATensorIsFound() throws {
    try writeManifest()
    let file = path + "/model.safetensors"
    var bytes = try FileSystem.contents(of: file, limit: 1 << 20)
    let norm = try #require(try ShardedTensors(opening: path)["model.norm.weight"])
    bytes[norm.offset + 3] ^= 1
    try Files.write(bytes, to: file)
    let findings = try Verification(of: path).findings
    #expect(findings.map(\.failure.rule) == ["MAN-16"])
    #expect(findings.first?.names == ["model.norm.weight"])
  }

  @Test func tensorsComeGoAndChange() throws {
    try writeManifest()
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.addDense("model.norm.weight", [8, 8])
    model.addDense("model.other.weight", [4])
    try FileSystem.removeFolder(path + "/model.safetensors")
    let other = folder.path("other")
    model.tensors.removeAll { $0.info.name.hasSuffix("g_idx") }
    try model.write(to: other)
    let bytes = try FileSystem.contents(of: other + "/model.safetensors", limit: 1 << 20)
    try Files.write(bytes, to: path + "/model.safetensors")
    let found = Set(try rules())
    #expect(found.isSuperset(of: ["MAN-12", "MAN-13", "MAN-14", "MAN-15"]))
    #expect(!found.contains("MAN-16"))
  }

  /// The tensors of a shard that is gone are told with it, not one by one.
  @Test func lostShardIsOneFinding() throws {
    let shards = folder.path("shards")
    try Files.copy(Fixtures.path("shard-index/valid/two-shards"), to: shards)
    let manifest = try Manifest(of: shards, ShardedTensors(opening: shards))
    try Files.write(manifest.bytes, to: shards + "/" + Manifest.fileName)
    try FileSystem.removeFolder(shards + "/model-00002-of-00002.safetensors")
    let findings = try Verification(of: shards).findings.filter { $0.failure.kind == .differs }
    #expect(findings.map(\.failure.rule) == ["MAN-10"])
    #expect(findings.first?.failure.found == "none, with 2 tensors lost")
  }

  @Test(arguments: ["awq", "dense", "gptq_v2"])
  func conversionWritesOne(target: String) throws {
    let result = try Converted(path, to: target) { $0.writesManifest = true }
    let manifest = try Manifest(path: result.path + "/" + Manifest.fileName)
    #expect(try Verification(of: result.path).findings.isEmpty)
    #expect(result.report.manifestSeconds.map { $0 >= 0 } == true)
    #expect(manifest.options?["target"]?.string == target)
    #expect(manifest.source?.name == "model")
    let size = try InputFile(path: path + "/model.safetensors").size
    #expect(manifest.source?.files.map(\.name) == ["model.safetensors"])
    #expect(manifest.source?.files.map(\.byteCount) == [size])
    let again = try Converted(path, to: target) { $0.writesManifest = true }
    #expect(try again.files == result.files)
    let without = try Converted(path, to: target)
    #expect(without.report.manifestSeconds == nil)
    #expect(try without.files[Manifest.fileName] == nil)
  }

  /// A manifest of the source says nothing true of the output.
  @Test func staleManifestStaysBehind() throws {
    try writeManifest()
    let result = try Converted(path, to: "awq")
    #expect(try result.files[Manifest.fileName] == nil)
    #expect(try result.files["tokenizer.json"] != nil)
    #expect(try Verification(of: result.path).findings.isEmpty)
  }

  @Test func revisionIsTakenFromConfigOrCache() throws {
    var config = try FileSystem.contents(of: path + "/config.json", limit: 10_000)
    config.replaceSubrange(0..<1, with: Array(#"{"_commit_hash": "abc", "#.utf8))
    try Files.write(config, to: path + "/config.json")
    let stated = try Converted(path, to: "awq") { $0.writesManifest = true }
    let first = try Manifest(path: stated.path + "/" + Manifest.fileName)
    #expect(first.source?.revision == "abc")
    var cache = folder.path("models--owner--name")
    for part in ["", "/snapshots"] { try FileSystem.makeFolder(cache + part) }
    cache += "/snapshots/0123abcd"
    var model = Model()
    model.addGPTQ("model.layers.0.q_proj")
    model.config = Model.gptqConfig()
    try model.write(to: cache)
    let cached = try Converted(cache, to: "awq") { $0.writesManifest = true }
    let second = try Manifest(path: cached.path + "/" + Manifest.fileName)
    #expect(second.source?.name == "owner/name")
    #expect(second.source?.revision == "0123abcd")
  }
}
