import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/mlx.md` against MLX's own files and numbers.
@Suite struct MLXTests {
  @Test func goldensHoldMLXsNumbers() throws {
    var random = SplitMix64(seed: 1)
    let goldens = try Golden.fixtures("mlx")
    #expect(goldens.map(\.scheme.defaults.bits) == [4, 3, 5])
    for golden in goldens {
      let names = golden.expected.keys.filter { $0.hasPrefix("dequant:") }.map {
        String($0.dropFirst("dequant:".count).dropLast(".weight".count))
      }
      let name = try #require(names.first)
      let layer = try golden.open(name)
      let weights = try #require(golden.expected["dequant:\(name).weight"])
      let own = try QuantizedMatrix(layer).dequantized()
      #expect(try mismatch(own, floats(of: weights.content()), by: .sameBits) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
      guard golden.layerNames.contains(name) else { continue }
      #expect(try DecodeChecks.agrees(layer, with: Expected(golden, name)) == nil)
      try DecodeChecks.writesAlike(layer, MLX())
    }
  }

  /// Layers that MLX packed outside of a model, and what it dequantizes; in the types it computes
  /// with, so that ours, rounded in float32, is rounded once more.
  @Test(
    arguments: [
      ("m1", 4, 32, DType.bf16), ("m2", 8, 64, .f32), ("m3", 2, 64, .f32), ("m4", 3, 128, .f16),
    ])
  func singleLayersHoldMLXsNumbers(name: String, bits: Int, size: Int, type: DType) throws {
    let file = try LayerFile(Fixtures.path("mlx/golden/layers-mlx/layers.safetensors"))
    let scales = try file.tensor("\(name).scales", named: "scales")
    var tensors = [try Self.words(of: name, in: file)]
    for part in ["scales", "biases"] {
      let values = try file.floats("\(name).\(part)")
      tensors.append(
        try Tensor.made(
          "layer.\(part)", type, scales.shape.dimensions, values.flatMap { $0.bytes(of: type) }))
    }
    let layer = try Opened.layer(MLX(), tensors, bits: bits, groupSize: size)
    #expect(layer.form.scaleType == type && layer.form.offset == .added(type))
    let matrix = try QuantizedMatrix(layer)
    #expect(try mismatch(matrix.scales, file.floats("\(name).scales"), by: .sameBits) == nil)
    #expect(try mismatch(matrix.offsets, file.floats("\(name).biases"), by: .sameBits) == nil)
    // MLX rounds product and sum to the type of the scales.
    let own = (0..<matrix.form.codeCount).map { index in
      let (row, column) = (index / matrix.form.columns, index % matrix.form.columns)
      let parameter = row * matrix.form.groups + column / size
      let product = (Float(matrix.codes[index]) * matrix.scales[parameter]).rounded(to: type)
      return (product + matrix.offsets[parameter]).rounded(to: type)
    }
    #expect(try mismatch(own, file.floats("\(name).dequant"), by: .sameBits) == nil)
    try DecodeChecks.writesAlike(layer, MLX())
  }

  /// All codes under all finite scales, bit for bit as `mx.dequantize` reads them in float32.
  @Test(arguments: MLXFloatMode.allCases) func smallFloats(mode: MLXFloatMode) throws {
    var random = SplitMix64(seed: 2)
    let file = try LayerFile(Fixtures.path("mlx/golden/floats/layers.safetensors"))
    let tensors = try ["weight", "scales"].map {
      try file.tensor("\(mode.rawValue).\($0)", named: "layer.\($0)")
    }
    let layer = try Opened.layer(
      MLX(), tensors, bits: mode.bits, groupSize: mode.groupSize)
    #expect(layer.form.offset == .none && layer.form.scaleType == .f32)
    let matrix = try QuantizedMatrix(layer)
    #expect(Set(matrix.codes).count == 1 << mode.bits)
    let expected = try file.floats("\(mode.rawValue).dequant")
    let own = matrix.dequantized()
    // NaN has many patterns; which codes and scales are NaN must agree.
    #expect(own.map(\.isNaN) == expected.map(\.isNaN))
    #expect(
      mismatch(
        own.map { $0.isNaN ? 0 : $0 }, expected.map { $0.isNaN ? 0 : $0 }, by: .sameBits) == nil)
    #expect(try MLX().refusal(of: layer.facts)?.rule == "MLX-7")
    if !own.contains(where: \.isNaN) { try DecodeChecks.readsAlike(layer, using: &random) }
  }

  @Test func singleLayerOfSmallFloats() throws {
    let file = try LayerFile(Fixtures.path("mlx/golden/layers-mlx/layers.safetensors"))
    let tensors = [
      try Self.words(of: "m5", in: file), try file.tensor("m5.scales", named: "layer.scales"),
    ]
    let matrix = try QuantizedMatrix(Opened.layer(MLX(), tensors, groupSize: 32))
    #expect(try mismatch(matrix.dequantized(), file.floats("m5.dequant"), by: .sameBits) == nil)
  }

  /// The file has words widened to 64 bits, and scales and biases to float32.
  private static func words(of name: String, in file: LayerFile) throws -> Tensor {
    let wide = try file.tensor("\(name).wq", named: "wq")
    let words = try wide.content().words.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
    return try Tensor.made(
      "layer.weight", .u32, wide.shape.dimensions, words.flatMap(\.littleEndianBytes))
  }

  /// The worked example of `Formats/mlx.md`, word for word.
  @Test func workedExample() throws {
    let codes = (0..<32).map { UInt8($0 % 16) }
    #expect(
      Numbers.stream(codes, bits: 4) == [0x7654_3210, 0xFEDC_BA98, 0x7654_3210, 0xFEDC_BA98])
    let layer = try Opened.layer(
      MLX(), Self.tensors([codes], bits: 4, scales: [0x3800], biases: [0xC400]), groupSize: 32)
    let matrix = try QuantizedMatrix(layer)
    #expect(matrix.codes == codes)
    // Input 11: ½ · 11 − 4.
    #expect(matrix.weight(row: 0, column: 11) == 1.5)
    try DecodeChecks.writesAlike(layer, MLX())
  }

  /// Every width, group size and type of random layers: read by regions and written again.
  @Test(arguments: MLX.widths, MLX.groupSizes) func anyLayer(bits: Int, size: Int) throws {
    var random = SplitMix64(seed: UInt64(bits << 8 | size))
    for (rows, groups) in [(1, 1), (7, 3), (33, 2)] {
      let rowsOfCodes = (0..<rows).map { _ in
        (0..<groups * size).map { _ in
          UInt8.random(in: 0...UInt8(1 << bits - 1), using: &random)
        }
      }
      func halves() -> [UInt16] {
        (0..<rows * groups).map { _ in .random(in: 0...0xFFFF, using: &random) & 0xBBFF }
      }
      for type in [DType.f16, .bf16] {
        let tensors = try Self.tensors(
          rowsOfCodes, bits: bits, scales: halves(), biases: halves(), type)
        let layer = try Opened.layer(MLX(), tensors, bits: bits, groupSize: size)
        #expect(try QuantizedMatrix(layer).codes == rowsOfCodes.flatMap(\.self))
        try DecodeChecks.readsAlike(layer, using: &random)
        try DecodeChecks.writesAlike(layer, MLX())
      }
    }
  }

  /// Tensors of a layer from `[row][column]` codes, packed without the codec's help.
  static func tensors(
    _ codes: [[UInt8]], bits: Int, scales: [UInt16], biases: [UInt16], _ type: DType = .f16
  ) throws -> [Tensor] {
    let rows = codes.map { Numbers.stream($0, bits: bits) }
    let shape = [rows.count, scales.count / rows.count]
    return try [
      Tensor.made(
        "layer.weight", .u32, [rows.count, rows[0].count],
        rows.flatMap(\.self).flatMap(\.littleEndianBytes)),
      Tensor.made("layer.scales", type, shape, scales.flatMap(\.littleEndianBytes)),
      Tensor.made("layer.biases", type, shape, biases.flatMap(\.littleEndianBytes)),
    ]
  }
}

extension FixedWidthInteger {
  var littleEndianBytes: [UInt8] {
    (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> ($0 * 8)) }
  }
}

extension Float {
  /// The bytes of a number that the type holds.
  fileprivate func bytes(of type: DType) -> [UInt8] {
    switch type {
    case .f16: Float16(self).bitPattern.littleEndianBytes
    case .bf16: UInt16(bitPattern >> 16).littleEndianBytes
    default: bitPattern.littleEndianBytes
    }
  }

  fileprivate func rounded(to type: DType) -> Float {
    switch type {
    case .f16: return Float(Float16(self))
    case .bf16:
      let odd = bitPattern >> 16 & 1
      return Float(bitPattern: (bitPattern + 0x7FFF + odd) & 0xFFFF_0000)
    default: return self
    }
  }
}
