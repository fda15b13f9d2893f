import TensorCore
import TestKit
import Testing

@testable import Codecs

/// Each way a 4-bit layer can be broken is refused by a rule of its own.
@Suite struct BitsAndBytesStateTests {
  /// A whole layer with tensors taken away or replaced.
  private func failure(
    nested: Bool = false, without lost: String = "", _ replaced: (String, DType, [Int], [UInt8])...
  ) throws -> Failure? {
    var random = SplitMix64(seed: 3)
    let sample = FlatLayer(rows: 32, columns: 64, blockSize: 64, kind: .nf4, isNested: nested)
    var tensors = try sample.made(using: &random).tensors.filter { $0.name != "layer.\(lost)" }
    for (name, dtype, shape, bytes) in replaced {
      tensors.removeAll { $0.name == "layer.\(name)" }
      tensors.append(try Tensor.made("layer.\(name)", dtype, shape, bytes))
    }
    do {
      _ = try Opened.layer(BitsAndBytes(), tensors, groupSize: 64)
      return nil
    } catch let failure as Failure {
      return failure
    }
  }

  private static let state = "weight.quant_state.bitsandbytes__nf4"

  /// The rule a state is refused with.
  private func rule(_ text: String, nested: Bool = false) throws -> String? {
    let bytes = Array(text.utf8)
    return try failure(nested: nested, (Self.state, .u8, [bytes.count], bytes))?.rule
  }

  private func rule(_ key: String, _ value: String, nested: Bool = false) throws -> String? {
    var fields = [
      ("quant_type", "\"nf4\""), ("blocksize", "64"), ("dtype", "\"float16\""),
      ("shape", "[32, 64]"),
    ]
    if nested {
      fields += [
        ("nested_blocksize", "256"), ("nested_dtype", "\"float32\""), ("nested_offset", "0.5"),
      ]
    }
    fields.removeAll { $0.0 == key }
    if !value.isEmpty { fields.append((key, value)) }
    return try rule(
      "{" + fields.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}", nested: nested)
  }

  @Test func wholeLayersOpen() throws {
    #expect(try failure() == nil)
    #expect(try failure(nested: true) == nil)
    #expect(try rule("quant_type", "\"nf4\"") == nil)
    #expect(try rule("nested_offset", "-1", nested: true) == nil)
  }

  @Test func missingPartners() throws {
    for part in ["weight", "weight.absmax", "weight.quant_map", Self.state] {
      #expect(try failure(without: part)?.rule == "BNB-1", "\(part)")
    }
    for part in ["weight.nested_absmax", "weight.nested_quant_map"] {
      #expect(try failure(nested: true, without: part)?.rule == "BNB-1", "\(part)")
    }
    let text = Array("{}".utf8)
    #expect(
      try failure(("weight.quant_state.bitsandbytes__fp4", .u8, [2], text))?.rule == "BNB-1")
  }

  /// Packed codes that lost everything else are no dense tensor where the config declares them.
  @Test func lonelyCodes() throws {
    let tensor = try Tensor.made("layer.weight", .u8, [4, 1], [1, 2, 3, 4])
    #expect(BitsAndBytes().candidates(in: TensorTable([tensor])) == ["layer"])
    let failure = #expect(throws: Failure.self) {
      try Opened.layer(BitsAndBytes(), [tensor], groupSize: 64)
    }
    #expect(failure?.rule == "BNB-1")
    let table = TensorTable([tensor])
    let none = Declared(scheme: nil, settings: nil)
    #expect(try BitsAndBytes().claims("layer", in: table, declared: none).isEmpty)
  }

  @Test func statesThatAreNoJSON() throws {
    let good = #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [32, 64]"#
    #expect(try rule(good + "}") == nil)
    #expect(try rule(good) == "BNB-2")
    #expect(try rule("") == "BNB-2")
    #expect(try rule("[]") == "BNB-2")
    #expect(try rule(good + #", "blocksize": 64}"#) == "BNB-2")
    #expect(try rule(good + #", "more": 1}"#) == "BNB-2")
    #expect(try rule(good + "}\0") == "BNB-2")
    #expect(try rule(good + "}" + String(repeating: " ", count: 4096)) == "BNB-2")
    #expect(try rule("nested_offset", "NaN", nested: true) == "BNB-2")
    let words = [UInt8](repeating: 32, count: 8)
    #expect(try failure((Self.state, .i32, [2], words))?.rule == "BNB-2")
    let foreign = [0xFF, 0xFE, 0x80] as [UInt8]
    #expect(try failure((Self.state, .u8, [3], foreign))?.rule == "BNB-2")
  }

  @Test func fieldsOfTheState() throws {
    for value in ["\"int4\"", "\"af4\"", "4", ""] {
      #expect(try rule("quant_type", value) == "BNB-3", "\(value)")
    }
    #expect(try rule("quant_type", "\"fp4\"") == "BNB-3")
    for value in ["0", "16", "48", "63", "8192", "-64", "64.0", "\"64\"", ""] {
      #expect(try rule("blocksize", value) == "BNB-4", "\(value)")
    }
    for value in ["[32]", "[2, 16, 64]", "[0, 64]", "[-32, -64]", "null", "[32, 64.5]", ""] {
      #expect(try rule("shape", value) == "BNB-5", "\(value)")
    }
    let large = "9223372036854775807"
    #expect(try rule("shape", "[\(large), 2]") == "BNB-5")
    #expect(try rule("shape", "[4611686018427387904, 2]") == "BNB-5")
    #expect(try rule("shape", "[18446744073709551615, 1]") == "BNB-5")
    for value in ["\"float64\"", "\"torch.float16\"", "1", ""] {
      #expect(try rule("dtype", value) == "BNB-6", "\(value)")
    }
  }

  @Test func tensorsThatDoNotFitTheState() throws {
    #expect(try rule("shape", "[32, 65]") == "BNB-7")
    #expect(try rule("shape", "[1099511627776, 1024]") == "BNB-7")
    let codes = [UInt8](repeating: 0, count: 1024)
    #expect(try failure(("weight", .u8, [1024], codes)) == nil)
    #expect(try failure(("weight", .i32, [256, 1], codes))?.rule == "BNB-7")
    #expect(try failure(("weight", .u8, [1023, 1], Array(codes.dropLast())))?.rule == "BNB-7")
    #expect(try rule("blocksize", "32") == "BNB-8")
    let maxima = [UInt8](repeating: 0, count: 32 * 4)
    #expect(try failure(("weight.absmax", .i32, [32], maxima))?.rule == "BNB-8")
    #expect(try failure(("weight.absmax", .u8, [32], Array(maxima[..<32])))?.rule == "BNB-8")
    #expect(try failure(("weight.quant_map", .f32, [15], Array(maxima[..<60])))?.rule == "BNB-9")
    #expect(try failure(("weight.quant_map", .f32, [16], Array(maxima[..<64])))?.rule == "BNB-9")
  }

  @Test func packedMaxima() throws {
    #expect(try rule("nested_blocksize", "100", nested: true) == "BNB-10")
    #expect(try rule("nested_blocksize", "", nested: true) == "BNB-10")
    #expect(try rule("nested_offset", "", nested: true) == "BNB-10")
    #expect(try rule("nested_offset", "1e300", nested: true) == "BNB-10")
    #expect(try rule("nested_dtype", "\"bfloat16\"", nested: true) == "BNB-10")
    // The state speaks of packed maxima and the tensors do not.
    #expect(try rule("nested_offset", "0.5") == "BNB-10")
    let zeros = [UInt8](repeating: 0, count: 1024)
    func broken(_ name: String, _ dtype: DType, _ count: Int) throws -> String? {
      let bytes = Array(zeros[..<(count * dtype.bits / 8)])
      return try failure(nested: true, ("weight.\(name)", dtype, [count], bytes))?.rule
    }
    #expect(try broken("absmax", .f32, 32) == "BNB-10")
    #expect(try broken("absmax", .u8, 31) == "BNB-10")
    #expect(try broken("nested_absmax", .f32, 2) == "BNB-10")
    #expect(try broken("nested_quant_map", .f32, 255) == "BNB-10")
    #expect(try broken("nested_quant_map", .f16, 256) == "BNB-10")
  }

  /// The example of the page.
  @Test func stateText() {
    let nested = QuantState(
      kind: .nf4, dtype: .bf16, rows: 4, columns: 64,
      nested: .init(offset: 0.122802734375))
    #expect(
      nested.text
        == #"{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [4, 64], "#
        + #""nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.122802734375}"#)
    let plain = QuantState(kind: .fp4, blockSize: 128, dtype: .f32, rows: 1, columns: 2)
    #expect(
      plain.text
        == #"{"quant_type": "fp4", "blocksize": 128, "dtype": "float32", "shape": [1, 2]}"#)
  }
}
