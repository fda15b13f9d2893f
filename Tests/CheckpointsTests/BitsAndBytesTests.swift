import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Checkpoints of bitsandbytes as a whole: opened, refused by their rules, written again byte for
/// byte, made dense, and moved where that is exact.
@Suite struct BitsAndBytesTests {
  static let folder = "bitsandbytes"

  static func goldens() throws -> [String] {
    try Fixtures.paths(in: folder + "/golden").filter {
      FileSystem.kind(of: $0 + "/config.json") == .file
    }
  }

  @Test(arguments: try goldens() + Fixtures.paths(in: folder + "/valid"))
  func openWithoutAWord(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    #expect(checkpoint.findings.isEmpty, "\(checkpoint.findings)")
    #expect(!checkpoint.layers.isEmpty)
    #expect(checkpoint.config.scheme?.layout == checkpoint.layers.first?.layout)
    #expect(try Verification(of: path, threads: 2).findings.isEmpty)
  }

  /// Law 1: tensors and config are the source's own.
  @Test(arguments: try goldens() + Fixtures.paths(in: folder + "/valid"))
  func writtenAsTheyWere(path: String) throws {
    let source = try Checkpoint(opening: path)
    let layout = try #require(source.config.scheme?.layout)
    let result = try Converted(source, to: layout)
    #expect(result.report.isLossless)
    let names = source.tensors.tensors.map(\.name)
    #expect(result.output.tensors.tensors.map(\.name) == names)
    for name in names {
      let (old, new) = (source.tensors[name], result.output.tensors[name])
      #expect(old?.info == new?.info)
      let a = try #require(old).contents()
      let b = try #require(new).contents()
      #expect(a.bytes.array == b.bytes.array, "\(name)")
    }
    let (was, now) = (source.config.model?.object, result.output.config.model?.object)
    let key = "quantization_config"
    let keys = was?[key]?.object?.keys ?? []
    #expect(Set(keys) == Set(now?[key]?.object?.keys ?? []))
    for own in keys { #expect(was?[key]?[own] == now?[key]?[own], "\(own)") }
  }

  @Test(arguments: try Fixtures.paths(in: folder + "/invalid"))
  func brokenOnesAreRefusedByTheirRule(path: String) throws {
    let checkpoint = try Checkpoint(opening: path)
    let rule = Fixtures.rule(of: path)
    let errors = checkpoint.findings.filter { $0.severity == .error }
    #expect(!errors.isEmpty)
    #expect(errors.allSatisfy { $0.failure.rule == rule }, "\(errors.map(\.failure))")
    for target in ["bnb-4bit", "bnb-int8", "gptq"] {
      let failure = try #require(throws: Failure.self) {
        try ConversionPlan(checkpoint, ConversionOptions(target: target))
      }
      #expect([.malformed, .unsupported].contains(failure.kind))
    }
    let found = try Verification(of: path, threads: 2).findings
    #expect(found.contains { $0.failure.rule == rule })
  }

  @Test(arguments: try Fixtures.paths(in: folder + "/findings"))
  func verifySpeaksOfTheRule(path: String) throws {
    let found = try Verification(of: path, threads: 2).findings
    #expect(!found.isEmpty)
    #expect(found.allSatisfy { $0.failure.rule == Fixtures.rule(of: path) }, "\(found)")
  }

  /// Row maxima of 127 · 2^n have exact scales: to the targets and back every weight is the same.
  @Test(arguments: ["gptq_v2", "gptq", "compressed-tensors"])
  func exactRowsAreMoved(target: String) throws {
    let path = Fixtures.path("bitsandbytes/valid/int8")
    let source = try Checkpoint(opening: path)
    let moved = try Converted(source, to: target)
    #expect(moved.report.isLossless)
    #expect(moved.report.changes.changes.contains(.restated))
    let back = try Converted(moved.output, to: "bnb-int8")
    for claim in source.layers {
      let weights = try QuantizedMatrix(source.open(claim)).dequantized()
      for output in [moved.output, back.output] {
        let copy = try #require(output.layer(named: claim.name))
        let found = try QuantizedMatrix(output.open(copy)).dequantized()
        #expect(mismatch(found, weights, by: .sameBits) == nil, "\(claim.name)")
      }
    }
  }

  @Test func otherRowsAreRefused() throws {
    let path = Fixtures.path("bitsandbytes/golden/bnb-llamanano-int8")
    for target in ["gptq", "compressed-tensors"] {
      let failure = try #require(throws: Failure.self) {
        try ConversionPlan(Checkpoint(opening: path), ConversionOptions(target: target))
      }
      #expect(failure.kind == .cannotRepresent)
      #expect(failure.rule == "BNB-24")
      #expect(failure.reasons.count == 1)
    }
  }

  /// The worked example of the page: 63 numbers in a block that is not full.
  @Test func workedExample() throws {
    let path = Fixtures.path("bitsandbytes/valid/example")
    let checkpoint = try Checkpoint(opening: path)
    let layer = try checkpoint.open(try #require(checkpoint.layers.first))
    let matrix = try QuantizedMatrix(layer)
    #expect(matrix.form.rows == 3 && matrix.form.columns == 21)
    #expect(Array(matrix.codes.prefix(8)) == [15, 0, 7, 12, 2, 8, 6, 10])
    #expect(matrix.codes.dropFirst(8).allSatisfy { $0 == 7 })
    #expect(
      Array(matrix.dequantized().prefix(5))
        == [2, -2, 0, 0.881_419_658_660_888_7, -1.050_146_102_905_273_4])
  }
}
