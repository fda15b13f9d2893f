import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// GPTQ-10 to GPTQ-12 against layers whose zero points reach 0 and the maximum, packed by their
/// writer's own code.
@Suite struct ZeroRuleTests {
  struct Case: CustomStringConvertible, Sendable {
    let bits: Int
    let kind: String
    var description: String { "b\(bits)\(kind)" }
    static let all = [2, 3, 4, 8].flatMap { bits in ["a", "s"].map { Case(bits: bits, kind: $0) } }
  }

  private let file: LayerFile

  init() throws {
    file = try LayerFile(Fixtures.path("gptq/golden/layers-gptq-pack/layers.safetensors"))
  }

  private func layer(
    _ test: Case, _ codec: GPTQ, writer: String? = nil, assume: ZeroRule? = nil
  ) throws -> any PackedLayer {
    let version = codec.version == .v1 ? "v1" : "v2"
    let tensors = [
      try file.tensor("\(test).qweight", named: "layer.qweight"),
      try file.tensor("\(test).qzeros_\(version)", named: "layer.qzeros"),
      try file.tensor("\(test).scales_fp16", named: "layer.scales"),
    ]
    return try Opened.layer(
      codec, tensors, bits: test.bits, groupSize: 32, writer: writer, assume: assume)
  }

  private func zeros(_ test: Case) throws -> [UInt16] {
    try file.floats("\(test).zero").map { UInt16($0) }
  }

  /// The fields of version 1 as they are stored, `[row][group]`.
  private func fields(_ test: Case) throws -> [UInt16] {
    try QuantizedMatrix(layer(test, .v1, assume: .carry)).zeros.map { $0 - 1 }
  }

  @Test(arguments: Case.all) func writersWordRuleRestoresEveryNumber(test: Case) throws {
    for writer in ["gptqmodel:7.7.0", "auto-round:0.15.1"] {
      let layer = try layer(test, .v1, writer: writer)
      let matrix = try QuantizedMatrix(layer)
      #expect(try mismatch(matrix.zeros, zeros(test)) == nil)
      let weights = try file.floats("\(test).dequant_f32")
      #expect(mismatch(matrix.dequantized(), weights, by: .sameBits) == nil)
      #expect(try layer.facts.ambiguous == 0)
    }
  }

  @Test(arguments: Case.all) func assumedWordRuleIsTheWriters(test: Case) throws {
    let assumed = try QuantizedMatrix(layer(test, .v1, assume: .word))
    #expect(try mismatch(assumed.zeros, zeros(test)) == nil)
  }

  @Test(arguments: Case.all) func versionTwoStoresThemAsTheyAre(test: Case) throws {
    let layer = try layer(test, .v2)
    #expect(try mismatch(QuantizedMatrix(layer).zeros, zeros(test)) == nil)
    #expect(try layer.facts.ambiguous == 0)
    #expect(GPTQ.v2.refusal(of: try layer.facts) == nil)
    try DecodeChecks.writesAlike(layer, GPTQ.v2)
  }

  @Test(arguments: Case.all) func unknownWriterLeavesFullFieldsOpen(test: Case) throws {
    let full = UInt16((1 << test.bits) - 1)
    let open = try fields(test).count { $0 == full }
    #expect(try layer(test, .v1).facts.ambiguous == open)
    #expect((open > 0) == (test.kind == "a"))
    for rule in ZeroRule.assumable {
      #expect(try layer(test, .v1, assume: rule).facts.ambiguous == 0)
    }
    // An unknown program is not made known by having a name.
    #expect(try layer(test, .v1, writer: "somebody:1").facts.ambiguous == open)
  }

  @Test(arguments: Case.all) func maskAndCarryDifferInFullFieldsOnly(test: Case) throws {
    let mask = try QuantizedMatrix(layer(test, .v1, assume: .mask)).zeros
    let carry = try QuantizedMatrix(layer(test, .v1, assume: .carry)).zeros
    let limit = UInt16(1 << test.bits)
    for (masked, carried) in zip(mask, carry) {
      #expect(carried == (masked == 0 ? limit : masked))
    }
  }

  /// How often the two readings by fields miss what the writer meant, counted with its own tools.
  @Test func readingFieldsMissesWhatWasSubtractedFromWords() throws {
    let test = Case(bits: 4, kind: "a")
    let truth = try zeros(test)
    let mask = try QuantizedMatrix(layer(test, .v1, assume: .mask)).zeros
    let carry = try QuantizedMatrix(layer(test, .v1, assume: .carry)).zeros
    #expect(truth.count == 256)
    #expect(zip(mask, truth).count { $0 != $1 } == 76)
    #expect(zip(carry, truth).count { $0 != $1 } == 88)
  }

  @Test func zeroHasNoPlaceInVersionOne() throws {
    for bits in GPTQ.widths {
      let facts = try layer(Case(bits: bits, kind: "a"), .v2).facts
      #expect(facts.zeros == 0...(1 << bits) - 1)
      #expect(GPTQ.v1.refusal(of: facts)?.rule == "GPTQ-11")
      #expect(GPTQ.v1.refusal(of: facts)?.remedy == "--to gptq_v2 holds it")
    }
  }

  @Test func ruleFollowsTheWriter() {
    #expect(ZeroRule.known(writer: nil, bits: 4) == nil)
    #expect(ZeroRule.known(writer: "auto_gptq:0.7", bits: 4) == nil)
    #expect(ZeroRule.known(writer: "gptqmodel:1.0", bits: 8) == .word)
    #expect(ZeroRule.known(writer: "gptqmodel:1.0", bits: 3) == .mask)
    #expect(ZeroRule.known(writer: "auto-round:0.5", bits: 2) == .word)
    #expect(GPTQLayer.wordConstant(bits: 2) == 0x5555_5555)
    #expect(GPTQLayer.wordConstant(bits: 4) == 0x1111_1111)
    #expect(GPTQLayer.wordConstant(bits: 8) == 0x0101_0101)
  }
}
