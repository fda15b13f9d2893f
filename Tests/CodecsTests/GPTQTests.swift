import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/gptq.md` against the writers' own files.
@Suite struct GPTQTests {
  @Test(arguments: try Golden.fixtures("gptq"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(!golden.layerNames.isEmpty)
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let expected = try Expected(golden, name)
      #expect(try DecodeChecks.agrees(layer, with: expected) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
    }
  }

  @Test(arguments: try Golden.fixtures("gptq"))
  func goldenIsWrittenAgainByteForByte(golden: Golden) throws {
    for name in golden.layerNames {
      let layer = try golden.open(name)
      #expect(try golden.codec.refusal(of: layer.facts) == nil)
      try DecodeChecks.writesAlike(layer, golden.codec)
    }
  }

  @Test func goldensCoverEveryWidthAndBothVersions() throws {
    let goldens = try Golden.fixtures("gptq")
    #expect(Set(goldens.map(\.scheme.defaults.bits)) == Set(GPTQ.widths))
    #expect(Set(goldens.map(\.codec.name)) == ["gptq", "gptq_v2"])
    let permuted = try goldens.filter { golden in
      try golden.layerNames.contains { try golden.open($0).form.grouping.isPermuted }
    }
    #expect(permuted.map(\.description) == ["gptq-llama256-w4g128-sym-desc"])
  }

  /// A comparison that can't fail shows nothing: each single bit of a word must matter.
  @Test(arguments: 0..<32) func oneFlippedBitIsSeen(bit: Int) throws {
    let golden = try #require(try Golden.fixtures("gptq").first { $0.scheme.defaults.bits == 4 })
    let name = try #require(golden.layerNames.first)
    let expected = try Expected(golden, name)
    for part in ["qweight", "qzeros", "scales"] {
      let original = try #require(golden.tensor("\(name).\(part)"))
      var bytes = try original.content()
      bytes[bytes.count - 4 + bit / 8] ^= 1 << (bit % 8)
      let damaged = Tensor(info: original.info, source: MemorySource(bytes), offset: 0)
      let tensors = golden.tensors.filter { $0.name != original.name } + [damaged]
      let layer = try Opened.layer(golden.codec, tensors, named: name, scheme: golden.scheme)
      let found = try DecodeChecks.agrees(layer, with: expected)
      #expect(found?.hasPrefix(part == "qweight" ? "codes" : part.dropQ) == true, "\(part)")
    }
  }

  /// The worked example of `Formats/gptq.md`, word for word.
  @Test func workedExample() throws {
    let numbers = Numbers(
      rows: 8, columns: 8, bits: 4, groups: [0, 0, 0, 0, 1, 1, 1, 1], groupCount: 2,
      codes: (0..<64).map { UInt8(($0 % 8 + $0 / 8) % 16) },
      zeros: (0..<16).map { UInt16($0 % 2 == 0 ? 8 : 1 + $0 / 2) },
      scales: [UInt16](repeating: 0x3800, count: 16))
    let words: [UInt32] = [
      0x7654_3210, 0x8765_4321, 0x9876_5432, 0xA987_6543, 0xBA98_7654, 0xCBA9_8765, 0xDCBA_9876,
      0xEDCB_A987,
    ]
    let v1 = try numbers.gptqV1()
    #expect(try v1[0].content().words == words)
    #expect(try v1[1].content().words == [0x7777_7777, 0x7654_3210])
    #expect(try numbers.gptqV2()[1].content().words == [0x8888_8888, 0x8765_4321])
    let layer = try Opened.layer(GPTQ.v1, v1, groupSize: 4)
    let matrix = try QuantizedMatrix(layer)
    #expect(matrix.codes == numbers.codes)
    #expect(matrix.zeros == numbers.zeros)
    for (version, parts) in [("gptq", v1), ("gptq_v2", try numbers.gptqV2())] {
      let file = try LayerFile(Fixtures.path("gptq/valid/example-\(version)/model.safetensors"))
      for part in parts { #expect(try file.holds(part, in: "model.layers.0.self_attn.q_proj")) }
    }
    // Output 2, input 5: code 7, zero point 3, scale ½.
    #expect(matrix.weight(row: 2, column: 5) == 2)
    try DecodeChecks.writesAlike(layer, GPTQ.v1)
  }

  /// Three words of 3-bit codes, as `Formats/gptq.md` prints them.
  @Test func threeBitExample() throws {
    let codes = (0..<32).map { UInt8($0 % 8) }
    #expect(Numbers.stream(codes, bits: 3) == [0x88FA_C688, 0xC688_FAC6, 0xFAC6_88FA])
    let numbers = Numbers(
      rows: 32, columns: 32, bits: 3, groups: [Int32](repeating: 0, count: 32), groupCount: 1,
      codes: (0..<32).flatMap { _ in codes }, zeros: [UInt16](repeating: 4, count: 32),
      scales: [UInt16](repeating: 0x3C00, count: 32))
    let v1 = try numbers.gptqV1()
    #expect(try v1[1].content().words == [0xDB6D_B6DB, 0xB6DB_6DB6, 0x6DB6_DB6D])
    #expect(try numbers.gptqV2()[1].content().words == [0x2492_4924, 0x4924_9249, 0x9249_2492])
    let matrix = try QuantizedMatrix(Opened.layer(GPTQ.v1, v1, bits: 3, groupSize: -1))
    #expect(matrix.codes == numbers.codes)
    #expect(matrix.zeros == numbers.zeros)
  }

  /// A group index that says k / group_size is no activation order, whatever `desc_act` says.
  @Test func trivialGroupIndexIsNoOrder() throws {
    var random = SplitMix64(seed: 2)
    var numbers = Numbers.random(
      32, 64, bits: 4, groupSize: 16, zeros: 1...15, using: &random)
    let plain = try Opened.layer(GPTQ.v1, numbers.gptqV1(), groupSize: 16)
    #expect(plain.form.grouping == .columns(size: 16))
    numbers.groups.swapAt(0, 63)
    let permuted = try Opened.layer(GPTQ.v1, numbers.gptqV1(), groupSize: 16)
    #expect(permuted.form.grouping == .map(groups: numbers.groups, count: 4))
    try DecodeChecks.readsAlike(permuted, using: &random)
  }

  /// Without a group index the columns of a group are neighbours.
  @Test func groupIndexMayBeMissing() throws {
    var random = SplitMix64(seed: 3)
    let numbers = Numbers.random(32, 64, bits: 4, groupSize: 32, zeros: 1...15, using: &random)
    let tensors = try numbers.gptq(index: false) { UInt8($0 - 1) }
    let layer = try Opened.layer(GPTQ.v1, tensors, groupSize: 32)
    #expect(layer.form.grouping == .columns(size: 32))
    #expect(try QuantizedMatrix(layer).codes == numbers.codes)
    let written = try Opened.tensors(of: layer, as: GPTQ.v1).map(\.info)
    #expect(try written == numbers.gptqV1().map(\.info))
  }

  /// A config's group size above the number of columns is one group of all columns.
  @Test(arguments: [64, 65, 128, Int.max]) func groupsAreNoWiderThanTheLayer(size: Int) throws {
    var random = SplitMix64(seed: 4)
    let numbers = Numbers.random(32, 64, bits: 4, groupSize: -1, zeros: 1...15, using: &random)
    let layer = try Opened.layer(GPTQ.v1, numbers.gptqV1(), groupSize: size)
    #expect(layer.form.grouping == .columns(size: 64))
    #expect(layer.claim.groupSize == 64)
    try DecodeChecks.readsAlike(layer, using: &random)
  }
}

extension String {
  fileprivate var dropQ: String { hasPrefix("q") ? String(dropFirst()) : self }
}
