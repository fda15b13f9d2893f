import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/recognised.md`: formats that are named though not decoded.
@Suite struct RecognitionTests {
  typealias Part = (name: String, type: DType, shape: [Int])

  struct Case: Sendable, CustomStringConvertible {
    let rule: String
    let format: String
    let facts: String?
    let parts: [(name: String, type: DType, shape: [Int])]
    /// Which of the parts tell the format, by the table itself.
    var tells: [Bool] {
      parts.map { part in
        ForeignFormat.all.contains { format in
          format.name == self.format && format.parts.contains { $0.name == part.name }
        }
      }
    }
    var description: String { "\(rule) \(format)" }
  }

  static let cases: [Case] = [
    Case(
      rule: "REC-1", format: "bitsandbytes as GPTQModel writes it", facts: nil,
      parts: [("weight", .u8, [32, 1]), ("weight_absmax", .f32, [1])]),
    Case(
      rule: "REC-3", format: "EXL3", facts: "3 bits, trellis coded",
      parts: [("trellis", .i16, [2, 2, 48]), ("suh", .f16, [32]), ("svh", .f16, [32])]),
    Case(
      rule: "REC-4", format: "EXL2", facts: "3 groups, each of its own width",
      parts: [("q_weight", .i32, [4, 8]), ("q_groups", .i16, [6])]),
    Case(
      rule: "REC-5", format: "AQLM", facts: "2 codebooks of 256 entries for 1 × 8 weights",
      parts: [("codes", .i8, [4, 1, 2]), ("codebooks", .f16, [2, 256, 1, 8])]),
    Case(
      rule: "REC-6", format: "VPTQ", facts: nil,
      parts: [("indices", .i16, [1, 4]), ("centroids.weight", .f16, [1, 8])]),
    Case(
      rule: "REC-7", format: "ParoQuant", facts: "inputs rotated 8 times",
      parts: [("theta", .f16, [8, 4]), ("pairs", .i16, [8, 8])]),
    Case(
      rule: "REC-8", format: "HIGGS", facts: nil,
      parts: [("weight", .i16, [4]), ("tables", .f16, [4]), ("tables2", .f16, [4])]),
    Case(
      rule: "REC-9", format: "FP-Quant", facts: nil,
      parts: [("dqweight", .f16, [4]), ("scales", .u8, [4])]),
    Case(
      rule: "REC-10", format: "Marlin", facts: "4 bits, symmetric, groups of 128",
      parts: [("B", .i32, [16, 8]), ("s", .f16, [2, 4])]),
    Case(
      rule: "REC-11", format: "QQQ", facts: "4 bits in Marlin tiles",
      parts: [("B", .i32, [16, 8]), ("s_channel", .f32, [1, 4])]),
    Case(
      rule: "REC-12", format: "BitBLAS", facts: "order of a kernel",
      parts: [("qweight", .i8, [4, 8]), ("scales", .f16, [4, 1])]),
    Case(
      rule: "REC-13", format: "GGUF blocks in safetensors", facts: nil,
      parts: [("qweight", .u8, [4, 18])]),
    Case(
      rule: "REC-14", format: "torchao", facts: "codes I8 [4, 8]",
      parts: [("_weight_qdata", .i8, [4, 8]), ("_weight_scale", .f16, [1, 4])]),
    Case(
      rule: "REC-15", format: "optimum-quanto", facts: "8 bits",
      parts: [("weight._data", .i8, [4, 8]), ("weight._scale", .f16, [4, 1])]),
    Case(
      rule: "REC-15", format: "optimum-quanto", facts: "2 or 4 bits",
      parts: [("weight._data._data", .u8, [4, 8]), ("weight._scale", .f16, [4, 1])]),
    Case(
      rule: "REC-16", format: "BitNet", facts: "codes −1, 0 and 1 in two bits",
      parts: [("weight", .u8, [4, 8]), ("weight_scale", .bf16, [1])]),
    Case(
      rule: "REC-17", format: "EETQ", facts: "8 bits, a scale for each output",
      parts: [("weight", .i8, [4, 8]), ("weight_scales", .f16, [8])]),
    Case(
      rule: "REC-18", format: "sparse compressed-tensors", facts: nil,
      parts: [("bitmask", .u8, [4]), ("compressed", .f16, [4]), ("shape", .i64, [2])]),
    Case(
      rule: "REC-19", format: "Marlin 2:4 of compressed-tensors", facts: nil,
      parts: [("weight_packed", .i32, [4]), ("scale_packed", .f16, [4]), ("meta", .i16, [4])]),
    Case(
      rule: "REC-20", format: "Metal of transformers", facts: nil,
      parts: [("weight", .u32, [4]), ("scales", .f32, [4]), ("qbiases", .f32, [4])]),
  ]

  private static func table(_ test: Case, without: Int? = nil) throws -> TensorTable {
    try TensorTable(
      test.parts.enumerated().filter { $0.offset != without }.flatMap { _, part in
        try ["a.b", "a.c"].map { module in
          let count = part.shape.reduce(part.type.bits / 8, *)
          return try Tensor.made(
            "\(module).\(part.name)", part.type, part.shape, [UInt8](repeating: 0, count: count))
        }
      })
  }

  @Test(arguments: cases) func formatIsNamed(test: Case) throws {
    let found = Recognition.all(in: try Self.table(test), claimed: [])
    #expect(
      found == [
        Recognition(
          format: test.format, rule: test.rule, modules: ["a.b", "a.c"], facts: test.facts)
      ])
    let finding = try #require(found.first).finding
    #expect(finding.severity == .warning)
    #expect(finding.failure.kind == .unsupported)
    #expect(finding.failure.rule == test.rule)
    #expect(finding.names == ["a.b", "a.c"])
  }

  @Test func everyFormatHasACase() {
    #expect(Set(ForeignFormat.all.map(\.rule)) == Set(Self.cases.map(\.rule)))
    #expect(Set(ForeignFormat.all.map(\.name)) == Set(Self.cases.map(\.format)))
    #expect(ForeignFormat.all.count == Self.cases.count)
  }

  /// Without a tell-tale tensor there is nothing to name.
  @Test func halfAFormatIsNone() throws {
    for test in Self.cases where test.parts.count > 1 && test.parts.count < 3 {
      for missing in test.parts.indices {
        let found = Recognition.all(in: try Self.table(test, without: missing), claimed: [])
        #expect(
          !found.contains { $0.format == test.format } || !test.tells[missing],
          "\(test) \(missing)")
      }
    }
  }

  /// Decoded layers are not foreign, unless something is done to them that their parts don't show.
  @Test func claimedModulesAreLeftOut() throws {
    let marlin = try Self.table(try #require(Self.cases.first { $0.format == "Marlin" }))
    #expect(Recognition.all(in: marlin, claimed: ["a.b"]).map(\.modules) == [["a.c"]])
    let rotated = try Self.table(try #require(Self.cases.first { $0.format == "ParoQuant" }))
    #expect(Recognition.all(in: rotated, claimed: ["a.b"]).map(\.modules) == [["a.b", "a.c"]])
  }
}
