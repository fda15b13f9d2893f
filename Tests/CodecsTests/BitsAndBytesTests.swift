import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/bitsandbytes.md`, the 4-bit layout, against the writer's own files and against a packer
/// that shares nothing with the reader.
@Suite struct BitsAndBytesTests {
  static func goldens() throws -> [Golden] {
    try Golden.fixtures("bitsandbytes").filter { $0.codec.name == "bnb-4bit" }
  }

  @Test(arguments: try goldens()) func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(!golden.layerNames.isEmpty)
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let matrix = try QuantizedMatrix(layer)
      func part(_ part: String) throws -> [UInt8] {
        try #require(golden.expected["part:\(name).\(part)"]).content()
      }
      #expect(try mismatch(matrix.codes, part("codes")) == nil)
      // The peer hands out maxima unpacked, in the order of flat blocks, 64 of which fit rows here.
      #expect(try mismatch(matrix.scales, floats(of: part("absmax")), by: .sameBits) == nil)
      let weights = try #require(golden.expected["dequant:\(name).weight"]).content()
      #expect(mismatch(matrix.dequantized(), floats(of: weights), by: .sameBits) == nil)
      let native = try #require(golden.expected["part:\(name).dequant_native_dtype"])
      #expect(try mismatch(layer.rounded(to: native.dtype), native.content()) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
      try DecodeChecks.writesAlike(layer, golden.codec)
      for codec in Codecs.all where codec.name != "bnb-4bit" {
        #expect(try codec.refusal(of: layer.facts) != nil, "\(codec.name)")
      }
    }
  }

  @Test func goldensCoverBothTablesAndPackedMaxima() throws {
    let states = try Self.goldens().map { golden in
      let layer = try golden.open(golden.layerNames[0])
      return try #require(layer as? BitsAndBytesLayer).weight.state
    }
    #expect(Set(states.map(\.kind)) == [.nf4, .fp4])
    #expect(Set(states.map { $0.nested == nil }) == [true, false])
  }

  /// Layers the peer packed: blocks over the ends of rows, a last block that is not full.
  @Test(arguments: ["q4_1", "q4_2", "q4_3", "q4_4"])
  func layersAreDecodedAsTheirWriterDoes(name: String) throws {
    let file = try LayerFile(Fixtures.path("bitsandbytes/golden/layers-bnb/layers.safetensors"))
    let parts = QuantState.Part.all.filter { $0 != "weight" }.map { String($0.dropFirst(7)) }
    let tensors =
      try [file.tensor("\(name).packed", named: "layer.weight")]
      + parts.filter { file.contains("\(name).state_dict.\($0)") }.map {
        try file.tensor("\(name).state_dict.\($0)", named: "layer.weight.\($0)")
      }
    let layer = try Opened.layer(BitsAndBytes(), tensors, groupSize: 64)
    let expected = try file.tensor("\(name).dequant", named: "dequant")
    #expect(try mismatch(layer.rounded(to: expected.dtype), expected.content()) == nil)
    let state = try #require(layer as? BitsAndBytesLayer).weight.state
    let text = try #require(tensors.last { $0.name.contains("quant_state") }).content()
    #expect(String(decoding: text, as: UTF8.self) == state.text)
    if file.contains("\(name).absmax_dequant") {
      let workspace = Workspace()
      let maxima = try #require(layer as? BitsAndBytesLayer)
      try maxima.withMaxima(of: 0..<state.blockCount, workspace) { found in
        let expected = try file.floats("\(name).absmax_dequant")
        #expect(mismatch(floats(of: found.array), expected, by: .sameBits) == nil)
      }
    }
    try DecodeChecks.writesAlike(layer, BitsAndBytes())
  }

  @Test(arguments: FlatLayer.all) func everyShapeAndBlock(sample: FlatLayer) throws {
    var random = SplitMix64(seed: UInt64(sample.rows * 7 + sample.blockSize))
    let made = try sample.made(using: &random)
    let layer = try Opened.layer(BitsAndBytes(), made.tensors, groupSize: 64)
    let matrix = try QuantizedMatrix(layer)
    #expect(mismatch(matrix.codes, made.codes) == nil)
    #expect(mismatch(matrix.dequantized(), made.weights, by: .sameBits) == nil)
    try DecodeChecks.readsAlike(layer, using: &random)
    try DecodeChecks.writesAlike(layer, BitsAndBytes())
    for type in [DType.f32, .f16, .bf16] {
      let expected = try Workspace().lend(made.weights.count * type.bits / 8) { bytes in
        try FloatConversion.fromFloat32(type, made.weights.rawSpan, into: &bytes)
        return bytes.bytes.array
      }
      #expect(try mismatch(layer.rounded(to: type), expected) == nil, "\(type)")
    }
  }

  /// A layer that is no file's: groups of columns become blocks with plain maxima.
  @Test(arguments: [32, 64, 128]) func splitLayersAreWritten(size: Int) throws {
    var random = SplitMix64(seed: 9)
    let sample = FlatLayer(rows: 64, columns: 256, blockSize: 128, kind: .fp4, isNested: true)
    let made = try sample.made(using: &random)
    let layer = try Opened.layer(BitsAndBytes(), made.tensors, groupSize: 64)
    let split = try #require(SplitGroups(layer, into: size))
    #expect(BitsAndBytes().refusal(of: try split.facts) == nil)
    let again = try Opened.rewritten(split, as: BitsAndBytes())
    #expect(again.claim.groupSize == size)
    #expect(again.claim.parts["weight.nested_absmax"] == nil)
    #expect(
      try mismatch(QuantizedMatrix(again).dequantized(), made.weights, by: .sameBits) == nil)
    // Bands that end within the layer.
    for part in try BitsAndBytes().parts(of: split, options: .init()) {
      let bytes = try Opened.bytes(of: part, step: 1 << 20)
      #expect(try mismatch(Opened.bytes(of: part, step: 1), bytes) == nil)
    }
  }

  @Test func layersWithoutBlocksAreNotWritten() throws {
    var random = SplitMix64(seed: 10)
    let sample = FlatLayer(rows: 32, columns: 48, blockSize: 64, kind: .nf4, isNested: false)
    let layer = try Opened.layer(
      BitsAndBytes(), sample.made(using: &random).tensors, groupSize: 64)
    let split = try #require(SplitGroups(layer, into: 8))
    let failure = #expect(throws: Failure.self) {
      try BitsAndBytes().parts(of: split, options: .init())
    }
    #expect(failure?.rule == "BNB-4")
  }

  @Test func remarksSayWhatTheStateDoes() throws {
    var random = SplitMix64(seed: 11)
    let sample = FlatLayer(rows: 32, columns: 64, blockSize: 256, kind: .nf4, isNested: true)
    let layer = try Opened.layer(
      BitsAndBytes(), sample.made(using: &random).tensors, groupSize: 64)
    let remarks = try layer.remarks(Workspace())
    #expect(remarks["quant_type"] == "nf4")
    #expect(remarks["block_size"] == 256)
    #expect(remarks["blocks"] == 8)
    #expect(remarks["double_quant"] == true)
    #expect(remarks["nested_offset"]?.double == Double(FlatLayer.offset))
  }
}

extension PackedLayer {
  /// All weights in a type, band after band.
  func rounded(to type: DType) throws -> [UInt8] {
    let workspace = Workspace()
    return try stride(from: 0, to: form.rows, by: Region.alignment).flatMap { start in
      let rows = start..<min(start + Region.alignment, form.rows)
      return try workspace.lend(rows.count * form.columns * type.bits / 8) { bytes in
        try readRounded(rows, as: type, into: &bytes, workspace)
        return bytes.bytes.array
      }
    }
  }
}
