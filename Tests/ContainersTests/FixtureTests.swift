import TensorCore
import TestKit
import Testing

@testable import Containers

/// The folders of fixtures are the assertion: valid ones open, each invalid one is refused with the
/// rule that its name begins with.
@Suite struct FixtureTests {
  @Test(arguments: try Fixtures.paths(in: "safetensors/valid"))
  func validFileOpens(path: String) throws {
    let file = try InputFile(path: path)
    let header = try SafetensorsHeader(reading: file)
    #expect(header.tensors.last.map { $0.offset + $0.byteCount } ?? header.dataOffset == file.size)
    #expect(try ShardedTensors(opening: path).tensors.count == header.tensors.count)
  }

  @Test(arguments: try Fixtures.paths(in: "safetensors/invalid"))
  func invalidFileIsRefused(path: String) throws {
    let failure = try #require(throws: Failure.self) {
      try SafetensorsHeader(reading: try InputFile(path: path))
    }
    #expect(failure.rule == Fixtures.rule(of: path), "\(failure)")
    #expect(failure.kind == .malformed || failure.kind == .unsupported)
    #expect(failure.place.contains(path.fileName))
  }

  @Test(arguments: try Fixtures.paths(in: "shard-index/valid"))
  func validFolderOpens(path: String) throws {
    let checkpoint = try ShardedTensors(opening: path)
    #expect(checkpoint.problems.isEmpty)
    #expect(!checkpoint.tensors.isEmpty)
    for tensor in checkpoint.tensors {
      #expect(checkpoint[tensor.name]?.offset == tensor.offset)
    }
  }

  @Test(arguments: try Fixtures.paths(in: "shard-index/findings"))
  func findingLeavesTheFolderReadable(path: String) throws {
    let checkpoint = try ShardedTensors(opening: path)
    #expect(checkpoint.problems.map(\.rule) == [Fixtures.rule(of: path)])
    #expect(!checkpoint.tensors.isEmpty)
  }

  @Test(arguments: try Fixtures.paths(in: "shard-index/invalid"))
  func invalidFolderIsRefused(path: String) throws {
    let rule = Fixtures.rule(of: path)
    let failure = try #require(throws: Failure.self) { try ShardedTensors(opening: path) }
    #expect(failure.rule == rule, "\(failure)")
    do {
      let checkpoint = try ShardedTensors(opening: path, strict: false)
      #expect(checkpoint.problems.contains(failure), "\(checkpoint.problems)")
      #expect(checkpoint.problems.allSatisfy { [rule, "SI-8"].contains($0.rule) })
    } catch let gathered as Failure {
      #expect(gathered == failure)
    }
  }

  @Test(arguments: [
    ("ST-1…17", "safetensors", "ST", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ("ST-20…29", "safetensors", "ST", Array(20...29)),
    ("SI", "shard-index", "SI", [1, 2, 3, 4, 5, 6, 7, 9, 11, 12]),
    (
      "JSON", "safetensors", "JSON",
      [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 23]
    ),
  ])
  func everyRuleHasAFixture(_: String, folder: String, room: String, numbers: [Int]) throws {
    let rules = Set(try Fixtures.paths(in: folder + "/invalid").map(Fixtures.rule(of:)))
    for number in numbers {
      #expect(rules.contains("\(room)-\(number)"), "\(room)-\(number) has no fixture")
    }
  }
}
