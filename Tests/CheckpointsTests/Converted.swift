import Checkpoints
import Codecs
import Containers
import Kernels
import TensorCore
import TestKit

/// A conversion into a folder that goes away with this value.
struct Converted {
  let source: Checkpoint
  let plan: ConversionPlan
  let report: ConversionReport
  let output: Checkpoint
  let path: String
  private let folder: TemporaryFolder

  init(
    _ path: String, to target: String, _ change: (inout ConversionOptions) -> Void = { _ in }
  ) throws {
    try self.init(Checkpoint(opening: path), to: target, change)
  }

  init(
    _ source: Checkpoint, to target: String,
    _ change: (inout ConversionOptions) -> Void = { _ in }
  ) throws {
    var options = try ConversionOptions(target: target)
    options.sync = false
    change(&options)
    folder = try TemporaryFolder()
    path = folder.path("out")
    self.source = source
    plan = try ConversionPlan(source, options)
    report = try plan.pour(to: path)
    output = try Checkpoint(opening: path)
  }

  /// Every file of the output and its bytes.
  var files: [String: [UInt8]] {
    get throws { try Files.contents(of: path) }
  }

  /// What lies beside the output.
  var besides: [String] {
    get throws { try folder.names().filter { $0 != "out" } }
  }
}

enum Files {
  /// Paths below a folder and the bytes of each file.
  static func contents(of folder: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try FileSystem.names(in: folder) {
      let path = folder + "/" + name
      if FileSystem.kind(of: path) == .folder {
        for (below, bytes) in try contents(of: path) { files[name + "/" + below] = bytes }
      } else {
        files[name] = try FileSystem.contents(of: path, limit: 1 << 30)
      }
    }
    return files
  }

  /// All bytes of a tensor.
  static func bytes(of tensor: Tensor) throws -> [UInt8] {
    try tensor.source.contents(tensor.offset..<tensor.offset + tensor.byteCount)
  }

  /// Copies a folder, so that a test may change it.
  static func copy(_ folder: String, to target: String) throws {
    try FileSystem.makeFolder(target)
    for (name, bytes) in try contents(of: folder) { try write(bytes, to: target + "/" + name) }
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    let file = try OutputFile(path: path)
    try file.write(bytes, at: 0)
    try file.commit(byteCount: bytes.count, sync: false)
  }

  static func write(_ text: String, to path: String) throws {
    try write(Array(text.utf8), to: path)
  }
}

/// Checkpoints among the fixtures.
enum Samples {
  static let demo = Fixtures.path("demo-model")
  static let sharded = Fixtures.path("gptq/golden/gptq-llamanano-w4g64-sym-shards")
  static let permuted = Fixtures.path("gptq/golden/gptq-llama256-w4g128-sym-desc")
  static let threeBits = Fixtures.path("gptq/golden/gptq-llamanano-w3g128-sym")
  static let awq = Fixtures.path("awq/golden/awq-llamanano-w4g64-gemm")

  /// The demo model and every trimmed checkpoint.
  static func all() throws -> [String] {
    let goldens = try ["gptq/golden", "awq/golden"].flatMap { try Fixtures.paths(in: $0) }
    return [demo] + goldens.filter { FileSystem.kind(of: $0 + "/config.json") == .file }
  }
}
