import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/compressed-tensors.md` against the writers' own files.
@Suite struct CompressedTensorsTests {
  static let codec = CompressedTensors()

  @Test(arguments: try Golden.fixtures("compressed-tensors"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(!golden.decodedNames.isEmpty)
    for name in Set(golden.decodedNames + golden.layerNames) {
      let layer = try golden.open(name)
      let matrix = try QuantizedMatrix(layer)
      if let weights = try golden.expected["dequant:\(name).weight"]?.content() {
        #expect(mismatch(matrix.dequantized(), floats(of: weights), by: .sameBits) == nil)
      }
      try checkParts(matrix, golden, name)
      try DecodeChecks.readsAlike(layer, using: &random)
    }
  }

  /// The writer's code hands out signed codes and zero points.
  private func checkParts(_ matrix: QuantizedMatrix, _ golden: Golden, _ name: String) throws {
    let middle = UInt8(1 << (matrix.form.grid.bits - 1))
    if let codes = try golden.expected["part:\(name).codes"]?.content() {
      #expect(mismatch(matrix.codes, codes.map { $0 &+ middle }) == nil)
    }
    if let zeros = try golden.expected["part:\(name).zeros"]?.content() {
      #expect(mismatch(matrix.zeros, zeros.map { UInt16($0 &+ middle) }) == nil)
    } else {
      #expect(matrix.zeros.allSatisfy { $0 == middle })
    }
    guard let index = try golden.expected["part:\(name).g_idx"]?.content().words else { return }
    #expect(matrix.form.grouping.isPermuted)
    let groups = (0..<matrix.form.columns).map { matrix.form.grouping.group(ofColumn: $0) }
    #expect(mismatch(groups.map { UInt32($0) }, index) == nil)
  }

  @Test(arguments: try Golden.fixtures("compressed-tensors"))
  func goldenIsWrittenAgainByteForByte(golden: Golden) throws {
    for name in Set(golden.decodedNames + golden.layerNames) {
      let layer = try golden.open(name)
      #expect(try golden.codec.refusal(of: layer.facts) == nil)
      try DecodeChecks.writesAlike(layer, golden.codec)
    }
  }

  /// Every width in shapes that fill no words, packed by the writer's own code.
  @Test(arguments: 1...8, ["n12k40", "n33k70"]) func everyWidth(bits: Int, shape: String) throws {
    var random = SplitMix64(seed: UInt64(bits))
    let file = try LayerFile(Fixtures.path("compressed-tensors/golden/layers/ct.safetensors"))
    let prefix = "b\(bits)\(shape)"
    let tensors = try ["packed", "scale", "shape", "zero_point"].map {
      try file.tensor("\(prefix).weight_\($0)", named: "layer.weight_\($0)")
    }
    let layer = try Opened.layer(
      Self.codec, tensors, bits: bits, groupSize: shape == "n12k40" ? 8 : -1)
    let matrix = try QuantizedMatrix(layer)
    func bytes(_ part: String) throws -> [UInt8] {
      try file.tensor("\(prefix).\(part)", named: part).content()
    }
    #expect(mismatch(matrix.codes, try bytes("codes")) == nil)
    #expect(mismatch(matrix.zeros, try bytes("zeros").map(UInt16.init)) == nil)
    let weights = try file.floats("\(prefix).dequant")
    #expect(mismatch(matrix.dequantized(), weights, by: .sameBits) == nil)
    try DecodeChecks.readsAlike(layer, using: &random)
    try DecodeChecks.writesAlike(layer, Self.codec)
  }

  /// The worked example of `Formats/compressed-tensors.md`: 3-bit codes 0 to 7 again and again, in
  /// both packings.
  @Test func workedExample() throws {
    let dense: [UInt32] = [0x88FA_C688, 0xC688_FAC6, 0xFAC6_88FA]
    let old: [UInt32] = [0x08FA_C688, 0x1A23_EB1A, 0x2C68_8FAC, 0x0000_003E]
    for words in [dense, old] {
      let layer = try Opened.layer(
        Self.codec, Self.parts(words: words, columns: 32), bits: 3, groupSize: -1)
      #expect(try QuantizedMatrix(layer).codes == (0..<32).map { UInt8($0 % 8) })
      let written = try Opened.tensors(of: layer, as: Self.codec)
      let packed = try #require(written.first { $0.name == "layer.weight_packed" })
      #expect(try packed.content().words == dense)
    }
  }

  /// 20 codes of 3 bits take two words either way: the version of the writer decides.
  @Test func versionSettlesATie() throws {
    let codes = (0..<20).map { UInt8($0 % 8) }
    let old = [codes.prefix(10), codes.suffix(10)].map { run in
      run.reversed().reduce(UInt32(0)) { $0 << 3 | UInt32($1) }
    }
    for (version, isRight) in [("0.12.2", true), ("0.19.0", false)] {
      let layer = try Opened.layer(
        Self.codec, Self.parts(words: old, columns: 20), bits: 3, groupSize: -1,
        writer: "compressed-tensors:\(version)")
      #expect(try (QuantizedMatrix(layer).codes == codes) == isRight)
    }
  }

  /// One row of packed codes with a scale of 1.
  private static func parts(words: [UInt32], columns: Int) throws -> [Tensor] {
    [
      try .made("layer.weight_packed", .i32, [1, words.count], wordBytes(words)),
      try .made("layer.weight_scale", .f32, [1, 1], TestKit.bytes(of: [1])),
      try .made("layer.weight_shape", .i32, [2], wordBytes([1, UInt32(columns)])),
    ]
  }

  private static func wordBytes(_ words: [UInt32]) -> [UInt8] {
    words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  }

  @Test(arguments: [2, 3, 4, 8], [false, true])
  func gptqAndBack(bits: Int, isPermuted: Bool) throws {
    var random = SplitMix64(seed: UInt64(bits))
    var numbers = Numbers.random(
      64, 96, bits: bits, groupSize: 32, zeros: 0...UInt16((1 << bits) - 1), using: &random)
    if isPermuted { numbers.groups.shuffle(using: &random) }
    let start = try Opened.layer(GPTQ.v2, numbers.gptqV2(), bits: bits, groupSize: 32)
    let there = try Opened.rewritten(start, as: Self.codec)
    #expect(try QuantizedMatrix(there) == QuantizedMatrix(start))
    try DecodeChecks.readsAlike(there, using: &random)
    try DecodeChecks.writesAlike(there, Self.codec)
    let back = try Opened.rewritten(there, as: GPTQ.v2)
    for (part, tensor) in start.claim.parts {
      #expect(try back.claim.parts[part]?.content() == tensor.content(), "\(part)")
    }
    // The words of GPTQ, turned, are those of compressed-tensors.
    let qweight = try #require(start.claim.parts["qweight"]).content().words
    let packed = try #require(there.claim.parts["weight_packed"]).content().words
    let rows = 96 * bits / 32
    #expect(packed == (0..<64).flatMap { row in (0..<rows).map { qweight[$0 * 64 + row] } })
  }

  /// Signed bytes with zero points, in groups, per output and per tensor.
  @Test(arguments: [[6, 4], [6, 1], [6], [1], []]) func signedBytes(shape: [Int]) throws {
    var random = SplitMix64(seed: 3)
    let codes = random.bytes(6 * 40)
    let count = shape.reduce(1, *)
    let zeros = random.bytes(count)
    let scales = (0..<count).map { Float($0 + 1) }
    let tensors = [
      try Tensor.made("layer.weight", .i8, [6, 40], codes),
      try .made("layer.weight_scale", .f32, shape, bytes(of: scales)),
      try .made("layer.weight_zero_point", .i8, shape, zeros),
    ]
    let size = shape == [6, 4] ? 10 : -1
    let layer = try Opened.layer(Self.codec, tensors, bits: 8, groupSize: size)
    let matrix = try QuantizedMatrix(layer)
    for (row, column) in [(0, 0), (5, 39), (3, 17)] {
      let position = shape == [6, 4] ? row * 4 + column / 10 : count == 6 ? row : 0
      let code = Int8(bitPattern: codes[row * 40 + column])
      let expected = scales[position] * (Float(code) - Float(Int8(bitPattern: zeros[position])))
      #expect(matrix.weight(row: row, column: column) == expected)
    }
    try DecodeChecks.readsAlike(layer, using: &random)
    let copy = try Opened.layer(
      Self.codec, Opened.tensors(of: layer, as: Self.codec), bits: 8, groupSize: size)
    #expect(try QuantizedMatrix(copy) == matrix)
    #expect(copy.claim.parts["weight"]?.dtype == .i8)
  }

  @Test func groupIndexThatWasNeverFilledIn() throws {
    var random = SplitMix64(seed: 4)
    let numbers = Numbers.random(
      32, 64, bits: 4, groupSize: 32, zeros: 8...8, using: &random)
    let gptq = try Opened.layer(GPTQ.v2, numbers.gptqV2(), groupSize: 32)
    let tensors = try Opened.tensors(of: gptq, as: Self.codec)
    func opened(_ index: [UInt32]) throws -> any PackedLayer {
      let tensor = try Tensor.made(
        "layer.weight_g_idx", .i32, [64], Self.wordBytes(index))
      return try Opened.layer(Self.codec, tensors + [tensor], groupSize: 32)
    }
    let unset = [UInt32](repeating: .max, count: 64)
    #expect(try opened(unset).form.grouping == .columns(size: 32))
    var broken = unset
    broken[7] = 1
    #expect(throws: Failure.self) { try opened(broken) }
    broken = (0..<64).map { UInt32($0 / 32) }
    broken[63] = 2
    let failure = #expect(throws: Failure.self) { try opened(broken) }
    #expect(failure?.rule == "CT-7")
  }
}
