import Checkpoints
import Codecs
import TensorCore
import TestKit
import Testing

/// The folders of fixtures are the assertion: what a writer saved opens without a word, each broken
/// checkpoint is refused with the rule that its name begins with.
@Suite struct FixtureTests {
  @Test(arguments: try Samples.all()) func goldenIsInOrder(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    #expect(checkpoint.findings.isEmpty, "\(checkpoint.findings)")
    #expect(!checkpoint.layers.isEmpty)
    #expect(checkpoint.config.scheme?.layout == checkpoint.layers.first?.layout)
    #expect(try Verification(of: path, threads: 2).findings.isEmpty)
  }

  @Test(arguments: try Fixtures.paths(in: "gptq/valid") + Fixtures.paths(in: "awq/valid"))
  func validCheckpointIsInOrder(path: String) throws {
    #expect(try Verification(of: path, threads: 2).findings.isEmpty)
    #expect(try Converted(path, to: "gptq_v2").report.layers.map(\.codes) == [64])
  }

  @Test(
    arguments: try Fixtures.paths(in: "gptq/invalid") + Fixtures.paths(in: "awq/invalid"))
  func invalidCheckpointIsRefusedByItsRule(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    let rule = Fixtures.rule(of: path)
    let errors = checkpoint.findings.filter { $0.severity == .error }
    #expect(errors.allSatisfy { $0.failure.rule == rule }, "\(errors.map(\.failure))")
    for target in Codecs.writable.map(\.name) {
      let failure = try #require(throws: Failure.self) {
        try ConversionPlan(checkpoint, ConversionOptions(target: target))
      }
      #expect([.malformed, .unsupported].contains(failure.kind))
      if errors.isEmpty { #expect(failure.rule == rule, "\(failure)") }
    }
    let inData = ["GPTQ-6", "GPTQ-12", "GPTQ-13", "GPTQ-14"]
    if errors.isEmpty { #expect(inData.contains(rule), "\(path.fileName)") }
  }

  /// What verify says of them, reading the data too.
  @Test(
    arguments: try Fixtures.paths(in: "gptq/invalid") + Fixtures.paths(in: "awq/invalid")
      + Fixtures.paths(in: "gptq/findings"))
  func verifySpeaksOfTheRule(path: String) throws {
    let found = try Verification(of: path, threads: 2).findings
    #expect(!found.isEmpty)
    #expect(found.allSatisfy { $0.failure.rule == Fixtures.rule(of: path) }, "\(found)")
  }

  @Test(arguments: try Fixtures.paths(in: "gptq/findings"))
  func findingLeavesTheCheckpointConvertible(path: String) throws {
    #expect(try Checkpoint(opening: path).findings.isEmpty)
    let result = try Converted(path, to: "gptq_v2")
    #expect(result.report.layers.allSatisfy { $0.isEqual })
  }

  @Test func everyRuleThatCanBeBrokenHasAFixture() throws {
    let folders = ["gptq/invalid", "gptq/findings", "awq/invalid"]
    let rules = Set(try folders.flatMap { try Fixtures.paths(in: $0) }.map(Fixtures.rule))
    let gptq = [1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14, 20, 21, 22, 23, 24, 27].map { "GPTQ-\($0)" }
    let awq = [1, 2, 4, 5, 10, 12, 13].map { "AWQ-\($0)" }
    #expect(rules == Set(gptq + awq))
  }
}
