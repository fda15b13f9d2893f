import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/bitsandbytes.md`, LLM.int8(), against the writer's own files and arithmetic.
@Suite struct BitsAndBytesInt8Tests {
  private let codec = BitsAndBytesInt8()

  @Test func goldenHoldsItsWritersNumbers() throws {
    var random = SplitMix64(seed: 1)
    let golden = try #require(
      try Golden.fixtures("bitsandbytes").first { $0.codec.name == "bnb-int8" })
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let matrix = try QuantizedMatrix(layer)
      func part(_ part: String) throws -> [UInt8] {
        try #require(golden.expected["part:\(name).\(part)"]).content()
      }
      #expect(try mismatch(matrix.codes, part("codes").map { $0 &+ 128 }) == nil)
      #expect(try mismatch(matrix.scales, floats(of: part("SCB")), by: .sameBits) == nil)
      let weights = try #require(golden.expected["dequant:\(name).weight"]).content()
      #expect(mismatch(matrix.dequantized(), floats(of: weights), by: .sameBits) == nil)
      #expect(try mismatch(layer.rounded(to: .f32), weights) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
      try DecodeChecks.writesAlike(layer, codec)
      for other in Codecs.all where other.name != "bnb-int8" {
        #expect(try other.refusal(of: layer.facts) != nil, "\(other.name)")
      }
      #expect(try FoldedFactor(layer, to: [.f16, .bf16, .f32], Workspace()) == nil)
    }
  }

  @Test func layerIsDecodedAsItsWriterDoes() throws {
    let file = try LayerFile(Fixtures.path("bitsandbytes/golden/layers-bnb/layers.safetensors"))
    let tensors = [
      try file.tensor("i8_1.CB", named: "layer.weight"),
      try file.tensor("i8_1.SCB", named: "layer.SCB"),
    ]
    let layer = try Opened.layer(codec, tensors, bits: 8, groupSize: -1)
    let weights = try file.floats("i8_1.dequant")
    #expect(try mismatch(QuantizedMatrix(layer).dequantized(), weights, by: .sameBits) == nil)
    // Older files have no format: none is made up.
    #expect(try codec.parts(of: layer, options: .init()).count == 2)
    try DecodeChecks.writesAlike(layer, codec)
  }

  /// A layer with these row maxima and every signed byte in each row.
  private func tensors(_ maxima: [Float], format: [UInt8]? = [0]) throws -> [Tensor] {
    let codes = maxima.flatMap { _ in (0...255).map { UInt8($0) &+ 128 } }
    let scalar = try format.map { try Tensor.made("layer.weight_format", .u8, [], $0) }
    return [
      try Tensor.made("layer.weight", .i8, [maxima.count, 256], codes),
      try Tensor.made("layer.SCB", .f32, [maxima.count], maxima.rawSpan.array),
    ] + [scalar].compactMap(\.self)
  }

  private func layer(_ maxima: [Float]) throws -> any PackedLayer {
    try Opened.layer(codec, tensors(maxima), bits: 8, groupSize: -1)
  }

  /// The products are rounded one after the other: neither code · (maximum/127) nor one rounding.
  @Test func productsInTheirOrder() throws {
    var random = SplitMix64(seed: 2)
    let maxima = difficultFloats(32, from: &random).map { $0.isFinite ? $0 : 3 }
    let matrix = try QuantizedMatrix(layer(maxima))
    let expected = maxima.flatMap { maximum in
      (-128...127).map { code -> Float in
        let product = Float(code) * maximum
        return product * 7.874015718698502e-3
      }
    }
    #expect(mismatch(matrix.dequantized(), expected, by: .sameBits) == nil)
    #expect(Grid.int8Factor.bitPattern == 0x3C01_0204)
    let read = try Opened.layer(codec, tensors(maxima), bits: 8, groupSize: -1)
    #expect(try mismatch(read.rounded(to: .f32), expected.rawSpan.array) == nil)
  }

  /// Maxima of 127 · 2^n, and 0, have an exact scale in every type; next to them there is none.
  @Test func exactScalesAreFolded() throws {
    let maxima: [Float] = [127, 63.5, 127 * 0x1p-10, 0, 254]
    let layer = try layer(maxima)
    for type in [DType.f16, .bf16, .f32] {
      let folded = try #require(try FoldedFactor(layer, to: [type], Workspace()))
      #expect(folded.form.scaleType == type)
      let matrix = try QuantizedMatrix(folded)
      #expect(matrix.scales == [1, 0.5, 0x1p-10, 0, 2])
      #expect(matrix.zeros.allSatisfy { $0 == 128 })
      let weights = try QuantizedMatrix(layer).dequantized()
      #expect(mismatch(matrix.dequantized(), weights, by: .sameBits) == nil)
      for target in [GPTQ.v1 as any Codec, GPTQ.v2, CompressedTensors()] where type != .f32 {
        // 32 rows fill GPTQ's words.
        guard target.name == "compressed-tensors" else { continue }
        #expect(target.refusal(of: try folded.facts) == nil, "\(target.name)")
      }
    }
    for broken in [Float(127).nextUp, 126.9, .nan, .infinity] {
      let layer = try self.layer([127, broken])
      #expect(try FoldedFactor(layer, to: [.f16, .bf16, .f32], Workspace()) == nil, "\(broken)")
    }
  }

  /// What is folded is unfolded to the same maxima, and scales of few bits find theirs.
  @Test func symmetricLayersAreAdopted() throws {
    let maxima: [Float] = [127, 63.5, 0, 254]
    let folded = try #require(
      try FoldedFactor(layer(maxima), to: [.f16], Workspace()))
    let back = try #require(try codec.adopted(folded, Workspace()))
    #expect(try QuantizedMatrix(back) == QuantizedMatrix(layer(maxima)))
    #expect(codec.refusal(of: try back.facts) == nil)
    var random = SplitMix64(seed: 4)
    let numbers = Numbers.random(32, 64, bits: 8, groupSize: -1, zeros: 128...128, using: &random)
    let gptq = try Opened.layer(
      GPTQ.v2, numbers.gptqV2(), bits: 8, groupSize: 64, writer: "gptqmodel:7.7.0")
    if let adopted = try codec.adopted(gptq, Workspace()) {
      let weights = try QuantizedMatrix(gptq).dequantized()
      #expect(
        try mismatch(QuantizedMatrix(adopted).dequantized(), weights, by: .sameBits) == nil)
      let again = try Opened.rewritten(adopted, as: codec)
      #expect(try QuantizedMatrix(again).dequantized() == weights)
      #expect(again.claim.parts["weight_format"]?.shape.dimensions == [])
    }
    var odd = numbers
    odd.zeros[3] = 127
    let asymmetric = try Opened.layer(
      GPTQ.v2, odd.gptqV2(), bits: 8, groupSize: 64, writer: "gptqmodel:7.7.0")
    #expect(try codec.adopted(asymmetric, Workspace()) == nil)
    #expect(try codec.refusal(of: asymmetric.facts)?.rule == "BNB-23")
  }

  @Test func brokenLayersAreRefused() throws {
    func rule(_ tensors: [Tensor]) throws -> String? {
      do {
        _ = try Opened.layer(codec, tensors, bits: 8, groupSize: -1)
        return nil
      } catch let failure as Failure {
        return failure.rule
      }
    }
    let whole = try tensors([1, 2])
    #expect(try rule(whole) == nil)
    #expect(try rule(tensors([1, 2], format: nil)) == nil)
    for format in 1...4 as ClosedRange<UInt8> {
      #expect(try rule(tensors([1, 2], format: [format])) == "BNB-21", "\(format)")
    }
    #expect(try rule([whole[0]]) == "BNB-20")
    #expect(try rule([whole[1]]) == "BNB-20")
    #expect(try rule([whole[2], whole[0]]) == "BNB-20")
    #expect(try rule([whole[0], Tensor.made("layer.SCB", .f32, [1], [0, 0, 0, 0])]) == "BNB-20")
    #expect(
      try rule([whole[0], Tensor.made("layer.SCB", .f16, [2], [0, 0, 0, 0])]) == "BNB-20")
    let flat = try Tensor.made("layer.weight", .i8, [4], [0, 0, 0, 0])
    #expect(try rule([flat, whole[1]]) == "BNB-20")
    let format = try Tensor.made("layer.weight_format", .u8, [2], [0, 0])
    #expect(try rule([whole[0], whole[1], format]) == "BNB-21")
  }

  @Test func outlierColumns() throws {
    #expect(OutlierColumns.outliers([]).isEmpty)
    #expect(OutlierColumns.outliers([1]).isEmpty)
    #expect(OutlierColumns.outliers([Double](repeating: 1, count: 100)).isEmpty)
    var spreads = (0..<200).map { 1 + Double($0 % 5) * 0.01 }
    spreads[17] = 9
    #expect(OutlierColumns.outliers(spreads) == [17])
    // Columns of alternating sign, one of them twenty times as wide.
    let codes = (0..<64).flatMap { row in
      (0..<128).map { column -> UInt8 in
        let size = column == 77 ? 120 : 6
        return UInt8(bitPattern: Int8(row % 2 == 0 ? size : -size))
      }
    }
    let maxima = [Float](repeating: 1, count: 64)
    let layer = try Opened.layer(
      codec,
      [
        try Tensor.made("layer.weight", .i8, [64, 128], codes),
        try Tensor.made("layer.SCB", .f32, [64], maxima.rawSpan.array),
      ], bits: 8, groupSize: -1)
    let remarks = try layer.remarks(Workspace())
    #expect(remarks["outlier_columns"] == [77])
    #expect(remarks["outlier_column_count"] == 1)
  }
}
