import TensorCore
import TestKit
import Testing

@testable import Containers

/// Checkpoints as their writers saved them, where `NIBBLE_GOLDENS` names a folder of them.
@Suite struct GoldensTests {
  @Test func everyCheckpointOpens() throws {
    guard let root = Fixtures.goldens else {
      print("skipped: all goldens; NIBBLE_GOLDENS names no folder")
      return
    }
    let paths = try Self.paths(below: root)
    #expect(!paths.isEmpty)
    for path in paths {
      let checkpoint = try ShardedTensors(opening: path)
      #expect(!checkpoint.tensors.isEmpty, "\(path)")
      // One writer counts headers in total_size.
      #expect(checkpoint.problems.allSatisfy { $0.rule == "SI-8" }, "\(checkpoint.problems)")
    }
    print("opened \(paths.count) goldens")
  }

  /// Folders with a config, and the single files of folders without one.
  static func paths(below root: String) throws -> [String] {
    let names = try FileSystem.names(in: root)
    let children = names.map { root + "/" + $0 }
    let files = names.filter { $0.hasSuffix(".safetensors") }.map { root + "/" + $0 }
    let here = names.contains("config.json") && !files.isEmpty ? [root] : files
    return try here
      + children.filter { FileSystem.kind(of: $0) == .folder }.flatMap(paths(below:))
  }
}
