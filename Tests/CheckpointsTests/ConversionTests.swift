import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Laws 2, 3 and 7 over whole checkpoints: what a plan predicts is what is written, every tensor of
/// the source is accounted for, and the numbers are the source's.
@Suite struct ConversionTests {
  static let targets = ["gptq", "gptq_v2", "awq", "compressed-tensors"]

  @Test(arguments: try Samples.all(), targets)
  func outputHoldsTheSource(path: String, target: String) throws {
    let source = try Checkpoint(opening: path)
    guard try Self.fits(source, target) else { return try isRefused(source, target) }
    let result = try Converted(source, to: target)
    try Laws.expectPredicted(result)
    try Laws.expectAccountedFor(result)
    #expect(result.output.findings.isEmpty, "\(result.output.findings)")
    var scheme = try #require(result.plan.scheme)
    // An AWQ config never says that zero points may be left out.
    if target == "awq" { scheme.defaults.symmetric = false }
    #expect(result.output.config.scheme == scheme)
    for claim in source.layers {
      let copy = try #require(result.output.layer(named: claim.name))
      #expect(copy.layout == target)
      let numbers = try QuantizedMatrix(source.open(claim))
      #expect(try QuantizedMatrix(result.output.open(copy)) == numbers)
      try expectReported(result.report, numbers, claim.name)
    }
    #expect(try result.besides.isEmpty)
  }

  /// Whether the target can hold all layers, from the tables of `Formats/` alone.
  private static func fits(_ source: Checkpoint, _ target: String) throws -> Bool {
    try source.layers.allSatisfy { claim in
      let layer = try QuantizedMatrix(source.open(claim))
      switch target {
      case "awq": return layer.form.grid.bits == 4 && !layer.form.grouping.isPermuted
      case "gptq": return layer.zeros.allSatisfy { $0 > 0 }
      default: return true
      }
    }
  }

  private func isRefused(_ source: Checkpoint, _ target: String) throws {
    let failure = try #require(throws: Failure.self) {
      try ConversionPlan(source, ConversionOptions(target: target))
    }
    #expect(failure.kind == .cannotRepresent)
    #expect(!failure.reasons.isEmpty)
    let rules = target == "awq" ? ["AWQ-1", "AWQ-5"] : ["GPTQ-11"]
    #expect(rules.contains(failure.rule ?? ""), "\(failure)")
  }

  private func expectReported(
    _ report: ConversionReport, _ numbers: QuantizedMatrix, _ name: String
  ) throws {
    let layer = try #require(report.layers.first { $0.name == name })
    #expect(layer.isEqual)
    #expect(layer.codes == numbers.codes.count)
    #expect(layer.scales == numbers.scales.count)
    #expect(layer.zeros == numbers.zeros.count)
  }

  /// Version 1 to 2 to AWQ to version 1: the weights' own file comes back byte for byte.
  @Test func roundTheHouse() throws {
    let v2 = try Converted(Samples.demo, to: "gptq_v2")
    let awq = try Converted(v2.path, to: "awq")
    let v1 = try Converted(awq.path, to: "gptq")
    for tensor in v2.source.tensors.tensors {
      let copy = try #require(v1.output.tensors[tensor.name])
      #expect(try Bytes.same(copy, tensor), "\(tensor.name)")
    }
    #expect(v1.output.tensors.tensors.count == v2.source.tensors.tensors.count)
    #expect(!(awq.output.tensors.tensors.contains { $0.name.hasSuffix(".g_idx") }))
  }

  @Test(arguments: targets) func threadsChangeNothing(target: String) throws {
    let one = try Converted(Samples.demo, to: target) { $0.threads = 1 }
    let three = try Converted(Samples.demo, to: target) { $0.threads = 3 }
    #expect(try one.files == three.files)
  }

  @Test func sameTargetGivesTheSameTensors() throws {
    for path in [Samples.threeBits, Samples.permuted, Samples.awq] {
      let source = try Checkpoint(opening: path)
      let target = try #require(source.layers.first?.layout)
      let result = try Converted(source, to: target)
      for tensor in source.tensors.tensors {
        let copy = try #require(result.output.tensors[tensor.name])
        #expect(try Bytes.same(copy, tensor), "\(tensor.name)")
      }
    }
  }

  @Test func unknownTargetIsUsage() throws {
    let source = try Checkpoint(opening: Samples.awq)
    let failure = try #require(throws: Failure.self) {
      try ConversionPlan(source, ConversionOptions(target: "awq2"))
    }
    #expect(failure.kind == .usage)
    #expect(failure.expected == ConversionOptions.targetNames.joined(separator: ", "))
  }

  @Test func assumedZerosSettleAnUnknownWriter() throws {
    let path = Fixtures.path("gptq/invalid/GPTQ-12-full-fields-of-an-unknown-writer")
    // Words 777777F7: added to as wholes they carry from lane 1 into lane 2.
    for (rule, expected) in [(ZeroRule.word, [0, 8, 9]), (.mask, [0, 8])] {
      let result = try Converted(path, to: "gptq_v2") { $0.assumeZeros = rule }
      let layer = try #require(result.output.layers.last)
      let zeros = try QuantizedMatrix(result.output.open(layer)).zeros
      #expect(Set(zeros).sorted() == expected.map { UInt16($0) })
    }
    let source = try Checkpoint(opening: path)
    var options = try ConversionOptions(target: "gptq_v2")
    options.assumeZeros = .carry
    let failure = try #require(throws: Failure.self) { try ConversionPlan(source, options) }
    #expect(failure.kind == .cannotRepresent)
    #expect(failure.rule == "GPTQ-10")
  }
}

extension Bytes {
  /// Whether two tensors are of one type and shape and hold the same bytes.
  static func same(_ a: Tensor, _ b: Tensor) throws -> Bool {
    guard a.dtype == b.dtype, a.shape == b.shape else { return false }
    let first = try a.contents()
    let second = try b.contents()
    return countDifferences(first.bytes, second.bytes) == 0
  }
}
