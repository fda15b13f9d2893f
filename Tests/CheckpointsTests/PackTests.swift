import Checkpoints
import Codecs
import Containers
import TensorCore
import TestKit
import Testing

#if canImport(Glibc)
  internal import Glibc
#endif

/// A model packed into a container that goes away with this value.
struct Packed {
  let report: PackReport
  let path: String
  let folder: TemporaryFolder

  init(_ source: String, _ change: (inout PackPlan.Options) -> Void = { _ in }) throws {
    var options = PackPlan.Options()
    options.sync = false
    change(&options)
    folder = try TemporaryFolder()
    path = folder.path("model.pquant")
    report = try PackPlan(source, options).write(to: path)
  }

  /// Every file that is restored, and its bytes.
  func restored(only pattern: (String) -> Bool = { _ in true }) throws -> [String: [UInt8]] {
    var unpacking = try Unpacking(opening: path)
    unpacking.sync = false
    let target = folder.path("restored")
    _ = try unpacking.restore(to: target, where: pattern)
    defer { try? FileSystem.removeFolder(target) }
    return try Files.contents(of: target)
  }
}

@Suite("pack and unpack")
struct PackTests {
  /// Folders with a config below a folder of fixtures or goldens.
  static func models(below root: String) throws -> [String] {
    let names = try FileSystem.names(in: root)
    if names.contains("config.json") { return [root] }
    return try names.map { root + "/" + $0 }.filter { FileSystem.kind(of: $0) == .folder }
      .flatMap(models(below:))
  }

  @Test("every fixture comes back byte for byte", arguments: try models(below: Fixtures.path("")))
  func fixtures(path: String) throws {
    let packed = try Packed(path)
    #expect(try packed.restored() == Files.contents(of: path))
    // A small file has a directory that its tensors can't pay for.
    let allowance = packed.report.directory.byteCount / 1000 + 4096
    #expect(packed.report.byteCount <= packed.report.directory.byteCount + allowance)
  }

  @Test func goldens() throws {
    guard let root = Fixtures.goldens else {
      print("skipped: packing of goldens; NIBBLE_GOLDENS names no folder")
      return
    }
    let models = try Self.models(below: root)
    #expect(!models.isEmpty)
    for path in models {
      let packed = try Packed(path)
      #expect(try packed.restored() == Files.contents(of: path), "\(path)")
      let restored = packed.report.directory.byteCount
      #expect(packed.report.byteCount <= restored + restored / 1000, "\(path)")
    }
    print("packed and restored \(models.count) goldens")
  }

  @Test("layers are held in neutral terms where they encode to the same bytes")
  func neutralLayers() throws {
    for path in [Samples.demo, Samples.permuted, Samples.threeBits, Samples.awq] {
      let layers = try Checkpoint(opening: path).layers
      let packed = try Packed(path)
      #expect(packed.report.directory.layers.map(\.name) == layers.map(\.name), "\(path)")
      #expect(packed.report.raw.isEmpty)
      #expect(!layers.isEmpty)
    }
  }

  @Test("a layer that its layout would write otherwise stays raw")
  func rawLayers() throws {
    let folder = try TemporaryFolder()
    var model = Model()
    model.addGPTQ("model.layers.0.mlp.up_proj")
    model.addGPTQ("model.layers.0.mlp.down_proj")
    model.config = Model.gptqConfig()
    // Full fields of an unknown writer can't be read with certainty.
    model.tensors[1].bytes = [UInt8](repeating: 0xFF, count: model.tensors[1].bytes.count)
    let path = folder.path("model")
    try model.write(to: path)
    let packed = try Packed(path)
    #expect(packed.report.directory.layers.map(\.name) == ["model.layers.0.mlp.down_proj"])
    #expect(packed.report.raw.map(\.name) == ["model.layers.0.mlp.up_proj"])
    #expect(try packed.restored() == Files.contents(of: path))
  }

  @Test("the codes of a layer are the same stream, whatever layout it came in")
  func sameCodes() throws {
    let gptq = try Packed(Samples.demo)
    let converted = try Converted(Samples.demo, to: "awq")
    let awq = try Packed(converted.path)
    func codes(_ packed: Packed) throws -> [String: [Int]] {
      let directory = packed.report.directory
      let tensors = directory.files.flatMap(\.blobs).filter { $0.tensor != nil }
      return Dictionary(
        uniqueKeysWithValues: directory.layers.compactMap { layer in
          let number = layer.parts.first { $0.role == "qweight" }?.tensor
          return number.map { (layer.name, tensors[$0].chunks.flatMap { $0.pieces.map(\.stored) }) }
        })
    }
    let first = try codes(gptq)
    #expect(!first.isEmpty)
    #expect(try codes(awq) == first)
  }

  @Test("from the container as from the folder", arguments: ["awq", "mlx", "dense", "same"])
  func conversion(target: String) throws {
    for path in [Samples.demo, Samples.sharded] {
      let packed = try Packed(path)
      let straight = try Converted(path, to: target == "same" ? "gptq" : target)
      let through = try Converted(packed.path, to: target == "same" ? "gptq" : target)
      #expect(try through.files == straight.files, "\(path)")
    }
  }

  @Test("a container is verified, compared and described like the folder")
  func everyVerb() throws {
    let packed = try Packed(Samples.sharded)
    let folder = try Checkpoint(opening: Samples.sharded)
    let container = try Checkpoint(opening: packed.path)
    #expect(try Verification(of: packed.path).isClean == Verification(of: Samples.sharded).isClean)
    #expect(try CheckpointComparison(folder, container).isEqual)
    let inspected = try (Inspection(folder), Inspection(container))
    #expect(inspected.0.bitsPerWeight == inspected.1.bitsPerWeight)
    #expect(inspected.0.quantization == inspected.1.quantization)
    let manifests = try (
      Manifest(of: Samples.sharded, folder.tensors), Manifest(of: packed.path, container.tensors)
    )
    #expect(manifests.0 == manifests.1)
    #expect(throws: Failure.self) { try RepairPlan(opening: packed.path) }
  }

  @Test func oneFileOrOneTensor() throws {
    let packed = try Packed(Samples.demo)
    let all = try Files.contents(of: Samples.demo)
    #expect(try packed.restored { $0 == "config.json" } == ["config.json": all["config.json"]!])
    let name = try #require(try Checkpoint(opening: Samples.demo).tensors.tensors.last?.name)
    _ = try Unpacking(opening: packed.path).restore(
      to: packed.folder.path("one"), where: { $0 == name })
    let one = try ShardedTensors(opening: packed.folder.path("one"))
    #expect(one.tensors.map(\.name) == [name])
    let tensor = try #require(try Checkpoint(opening: Samples.demo).tensors[name])
    #expect(try Files.bytes(of: one.tensors[0]) == Files.bytes(of: tensor))
    #expect(throws: Failure.self) { try packed.restored { _ in false } }
  }

  @Test("a packed container can be packed again, at another level")
  func again() throws {
    let packed = try Packed(Samples.demo)
    let again = try Packed(packed.path) { $0.level = 12 }
    #expect(again.report.byteCount <= packed.report.byteCount)
    #expect(again.report.directory.layers == packed.report.directory.layers)
    #expect(try again.restored() == Files.contents(of: Samples.demo))
  }

  @Test("the same input gives the same bytes on any number of threads")
  func deterministic() throws {
    let one = try Packed(Samples.sharded) { $0.threads = 1 }
    let many = try Packed(Samples.sharded) { $0.threads = 7 }
    let limit = 1 << 30
    #expect(
      try FileSystem.contents(of: one.path, limit: limit)
        == FileSystem.contents(of: many.path, limit: limit))
  }

  @Test("files of any kind, hidden ones too, links as what they lead to")
  func anyFiles() throws {
    let folder = try TemporaryFolder()
    var model = Model()
    model.addDense("a", [4, 8])
    model.others = [
      ".gitattributes": "*.safetensors filter=lfs\n", "sub/deep/card.md": "# card", "empty": "",
      "broken.safetensors": "not a header at all",
    ]
    let path = folder.path("model")
    try model.write(to: path)
    try FileSystem.makeFolder(path + "/.git")
    try Files.write("no part of it", to: path + "/.git/HEAD")
    let packed = try Packed(path)
    var expected = try Files.contents(of: path)
    expected[".git/HEAD"] = nil
    #expect(try packed.restored() == expected)
    #expect(packed.report.notes.count == 1)
  }

  @Test("nothing half-written stays, nothing is replaced unasked")
  func outputs() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("x.pquant")
    var options = PackPlan.Options()
    options.sync = false
    _ = try PackPlan(Samples.demo, options).write(to: path)
    #expect(throws: Failure.self) { try PackPlan(Samples.demo, options).write(to: path) }
    options.force = true
    _ = try PackPlan(Samples.demo, options).write(to: path)
    let other = try folder.write([1, 2, 3], to: "other")
    #expect(throws: Failure.self) { try PackPlan(Samples.demo, options).write(to: other) }
    // A damaged container leaves no folder.
    var bytes = try FileSystem.contents(of: path, limit: 1 << 30)
    bytes[bytes.count / 3] ^= 4
    let damaged = try folder.write(bytes, to: "damaged.pquant")
    let failure = try #require(throws: Failure.self) {
      try Unpacking(opening: damaged).restore(to: folder.path("out"))
    }
    #expect(failure.rule == "PQ-23")
    #expect(try folder.names() == ["damaged.pquant", "other", "x.pquant"])
    // Links that were planted where it would write are not followed.
    try FileSystem.makeFolder(folder.path("elsewhere"))
    // SAFETY: Swift strings lend NUL-terminated pointers for the call.
    #expect(unsafe symlink(folder.path("elsewhere"), folder.path("out.unfinished")) == 0)
    #expect(unsafe symlink(folder.path("elsewhere/y"), folder.path("y.pquant.partial")) == 0)
    #expect(throws: Failure.self) { try Unpacking(opening: path).restore(to: folder.path("out")) }
    #expect(throws: Failure.self) {
      try PackPlan(Samples.demo, options).write(to: folder.path("y.pquant"))
    }
    #expect(try FileSystem.names(in: folder.path("elsewhere")).isEmpty)
  }
}
