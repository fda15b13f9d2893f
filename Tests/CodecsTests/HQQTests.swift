import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/hqq.md` against the writer's own files, and against a packer that shares nothing with
/// the reader.
@Suite struct HQQTests {
  @Test(arguments: try Golden.fixtures("hqq"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(golden.layerNames.count == 1)
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let matrix = try QuantizedMatrix(layer)
      func part(_ part: String) throws -> [UInt8] {
        try #require(golden.expected["part:\(name).\(part)"]).content()
      }
      #expect(try mismatch(matrix.codes, part("codes")) == nil)
      let scales = try floats(of: part("scale"))
      let zeros = try floats(of: part("zero"))
      // Axis 0 hands out a scale for every weight.
      let count = matrix.scales.count
      #expect(
        mismatch(
          matrix.scales, (0..<count).map { scales[$0 % scales.count] }, by: .sameBits) == nil)
      #expect(
        mismatch(
          matrix.offsets, (0..<count).map { zeros[$0 % zeros.count] }, by: .sameBits) == nil)
      let weights = try #require(golden.expected["dequant:\(name).weight"]).content()
      #expect(mismatch(matrix.dequantized(), floats(of: weights), by: .sameBits) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
      #expect(golden.codec.refusal(of: try layer.facts)?.rule == "HQQ-1")
      #expect(throws: Failure.self) { try golden.codec.parts(of: layer, options: .init()) }
    }
  }

  @Test func goldensCoverBothAxes() throws {
    let sizes = try Golden.fixtures("hqq").map { golden in
      try golden.open(golden.layerNames[0]).claim.groupSize
    }
    #expect(sizes.sorted() == [1, 64])
  }

  struct Case: Sendable, CustomStringConvertible {
    let bits: Int
    let packing: String
    let axis: Int
    let rows: Int
    let columns: Int
    let size: Int
    var description: String { "\(packing) \(bits) axis \(axis) \(rows)x\(columns) g\(size)" }

    static let all: [Case] = [
      (8, "8bit_u8"), (6, "8bit_u8"), (5, "8bit_u8"), (4, "4bit_u8"), (3, "3bit_32"),
      (2, "2bit_u8"), (1, "1bit_u8"),
    ].flatMap { bits, packing in
      // Groups that divide rows, that are longer than rows, that straddle them.
      [(64, 128, 64), (64, 32, 64), (40, 48, 32), (32, 96, 96), (8, 24, 8)].flatMap { shape in
        [0, 1].map {
          Case(
            bits: bits, packing: packing, axis: $0, rows: shape.0, columns: shape.1, size: shape.2)
        }
      }
    }

    var slices: Int {
      ["8bit_u8": 1, "4bit_u8": 2, "3bit_32": 10, "2bit_u8": 4, "1bit_u8": 8][packing] ?? 1
    }
  }

  /// The matrix of groups, packed code by code along its rows.
  static func packed(_ codes: [UInt8], _ test: Case) -> (rows: Int, width: Int, words: [UInt32]) {
    let width = test.axis == 1 ? test.size : codes.count / test.size
    let height = codes.count / width
    let rows = (height + test.slices - 1) / test.slices
    let field = test.slices == 1 ? 8 : test.bits
    var words = [UInt32](repeating: 0, count: rows * width)
    for (index, code) in codes.enumerated() {
      let (row, column) = (index / width, index % width)
      let shift = (test.slices - 1 - row / rows) * field
      words[row % rows * width + column] |= UInt32(code) << UInt32(shift)
    }
    return (rows, width, words)
  }

  static func tensors(
    _ codes: [UInt8], scales: [UInt16], zeros: [UInt16], _ test: Case
  ) throws -> [Tensor] {
    let (rows, width, words) = packed(codes, test)
    let is32 = test.packing == "3bit_32"
    let shape = test.axis == 1 ? [scales.count, 1] : [1, scales.count]
    func bytes(_ values: [UInt16]) -> [UInt8] {
      values.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    }
    func number(_ name: String, _ value: Int) throws -> Tensor {
      try Tensor.made("layer.\(name)", .i32, [], [UInt8(value), 0, 0, 0])
    }
    let sizes = [test.rows, test.columns].flatMap {
      [UInt8($0), 0, 0, 0, 0, 0, 0, 0] as [UInt8]
    }
    return [
      try Tensor.made(
        "layer.W_q", is32 ? .i32 : .u8, [rows, width],
        words.flatMap { word in
          (0..<(is32 ? 4 : 1)).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }),
      try Tensor.made("layer.scale", .f16, shape, bytes(scales)),
      try Tensor.made("layer.zero", .f16, shape, bytes(zeros)),
      try Tensor.made("layer.shape", .i64, [2], sizes), try number("nbits", test.bits),
      try number("axis", test.axis), try number("group_size", test.size),
      try Tensor.made("layer.packing", .u8, [7], Array(test.packing.utf8)),
    ]
  }

  @Test(arguments: Case.all) func everyWidthAndAxis(test: Case) throws {
    let count = test.rows * test.columns
    guard count % test.size == 0, test.packing == "3bit_32" || count % (8 * test.size) == 0 else {
      return
    }
    var random = SplitMix64(seed: UInt64(test.bits * 2 + test.axis))
    let full = UInt8((1 << test.bits) - 1)
    let codes = (0..<count).map { _ in UInt8.random(in: 0...full, using: &random) }
    let groups = count / test.size
    let scales = (0..<groups).map { _ in UInt16.random(in: 0...0x7BFF, using: &random) }
    let zeros = (0..<groups).map { _ in UInt16.random(in: 0...0x4C00, using: &random) }
    // Slices of rows: a matrix of groups whose rows don't divide into slices can't be packed.
    let height = test.axis == 1 ? groups : test.size
    guard test.packing == "3bit_32" || height % test.slices == 0 else { return }
    let layer = try Opened.layer(
      HQQ(), try Self.tensors(codes, scales: scales, zeros: zeros, test), bits: test.bits,
      groupSize: test.size)
    #expect(try mismatch(QuantizedMatrix(layer).codes, codes) == nil)
    let expected = codes.enumerated().map { index, code -> Float in
      let group = test.axis == 1 ? index / test.size : index % groups
      let zero = Float(Float16(bitPattern: zeros[group]))
      return (Float(code) - zero) * Float(Float16(bitPattern: scales[group]))
    }
    let weights = try layer.weights(
      Region(rows: 0..<test.rows, columns: 0..<test.columns))
    #expect(mismatch(weights, expected, by: .sameBits) == nil)
    try DecodeChecks.readsAlike(layer, using: &random)
  }

  /// The same tensors with one of them changed are refused by the rule named.
  @Test func brokenLayersAreRefused() throws {
    let test = Case(bits: 4, packing: "4bit_u8", axis: 1, rows: 32, columns: 64, size: 32)
    let tensors = try Self.tensors(
      [UInt8](repeating: 7, count: 2048), scales: [UInt16](repeating: 0x3C00, count: 64),
      zeros: [UInt16](repeating: 0x4700, count: 64), test)
    func rule(without name: String = "", _ added: Tensor? = nil) throws -> String? {
      let kept = tensors.filter { $0.name != "layer.\(name)" && $0.name != added?.name }
      do {
        _ = try Opened.layer(HQQ(), kept + [added].compactMap(\.self), groupSize: 32)
        return nil
      } catch let failure as Failure {
        return failure.rule
      }
    }
    func small(_ name: String, _ dtype: DType, _ shape: [Int], _ bytes: [UInt8]) throws -> Tensor {
      try Tensor.made("layer.\(name)", dtype, shape, bytes)
    }
    #expect(try rule() == nil)
    #expect(try rule(without: "group_size") == nil)
    for part in ["scale", "zero", "shape", "nbits", "axis", "packing"] {
      #expect(try rule(without: part) == "HQQ-2", "\(part)")
    }
    let minus = [UInt8](repeating: 0xFF, count: 8)
    let large: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0x40]
    #expect(try rule(small("shape", .i64, [2], minus + minus)) == "HQQ-2")
    #expect(try rule(small("shape", .i64, [2], large + large)) == "HQQ-2")
    #expect(try rule(small("shape", .i64, [1], large)) == "HQQ-2")
    let tall = [33, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0] as [UInt8]
    #expect(try rule(small("shape", .i64, [2], tall)) == "HQQ-4")
    #expect(try rule(small("nbits", .f32, [], [0, 0, 0, 0])) == "HQQ-2")
    #expect(try rule(small("nbits", .i32, [], [3, 0, 0, 0])) == "HQQ-3")
    #expect(try rule(small("packing", .u8, [7], Array("2bit_u8".utf8))) == "HQQ-3")
    #expect(try rule(small("packing", .u8, [100], minus + (8..<100).map { _ in 0 })) == "HQQ-2")
    #expect(try rule(small("axis", .i32, [], [2, 0, 0, 0])) == "HQQ-4")
    #expect(try rule(small("group_size", .i32, [], [64, 0, 0, 0])) == "HQQ-4")
    #expect(try rule(small("scale", .f16, [3], [0, 0, 0, 0, 0, 0])) == "HQQ-4")
    #expect(try rule(small("scale", .f16, [0], [])) == "HQQ-4")
    #expect(try rule(small("zero", .f16, [1], [0, 0])) == "HQQ-5")
    #expect(try rule(small("quant_zero", .u8, [], [1])) == "HQQ-5")
    #expect(try rule(small("W_q", .u8, [31, 32], (0..<992).map { _ in 0 })) == "HQQ-6")
    #expect(try rule(small("W_q", .u8, [0], [])) == "HQQ-6")
  }

  @Test func configs() throws {
    func scheme(_ text: String) throws -> Scheme? {
      let object = try #require(try JSON(parsing: Array(text.utf8), at: "test").object)
      return try HQQ().scheme(from: object)
    }
    let flat = try scheme(
      #"{"quant_method": "hqq", "quant_config": {"nbits": 2, "group_size": 16}}"#)
    #expect(flat?.defaults == .init(bits: 2, groupSize: 16, symmetric: false))
    let nested = try scheme(
      #"""
      {"quant_method": "hqq", "skip_modules": ["lm_head"], "quant_config": {
        "weight_quant_params": {"nbits": 3, "group_size": 64, "axis": 1},
        "scale_quant_params": null, "offload_meta": false}}
      """#)
    #expect(nested?.defaults.bits == 3)
    #expect(nested?.overrides == [.init(.contains("lm_head"), nil)])
    let tags = try scheme(
      #"""
      {"quant_method": "hqq", "quant_config": {
        "self_attn.q_proj": {"weight_quant_params": {"nbits": 8, "group_size": 128}},
        "mlp.up_proj": {"nbits": 2}}}
      """#)
    let rules = try #require(tags).rules()
    #expect(rules.settings(for: "model.layers.0.self_attn.q_proj")?.bits == 8)
    #expect(rules.settings(for: "model.layers.0.mlp.up_proj")?.groupSize == -1)
    #expect(try scheme(#"{"quant_method": "gptq", "bits": 4}"#) == nil)
    #expect(throws: Failure.self) {
      try scheme(#"{"quant_method": "hqq", "quant_config": {"nbits": "4"}}"#)
    }
    #expect(throws: Failure.self) { try HQQ().config(for: #require(flat)) }
  }
}
