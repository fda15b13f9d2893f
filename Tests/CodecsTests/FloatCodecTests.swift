import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/fp8.md`, `Formats/mxfp4.md` and `Formats/nvfp4.md` against the writers' own files.
@Suite struct FloatCodecTests {
  @Test(arguments: try Golden.fixtures("fp8") + Golden.fixtures("nvfp4"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(!golden.decodedNames.isEmpty)
    for name in golden.decodedNames {
      let layers = try Self.layers(golden.tensors, name, golden.scheme)
      let layer = try #require(layers.first)
      #expect(layers.count == 1)
      let expected = try #require(golden.expected["dequant:\(name).weight"]).content()
      // NVFP4-5: the writer's decoder rounds its float32 products to BF16.
      let exact = try QuantizedMatrix(layer).dequantized()
      let weights = layer.claim.layout == "nvfp4" ? try Self.roundedToBF16(exact) : exact
      #expect(mismatch(weights, floats(of: expected), by: .sameBits) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
      for codec in Codecs.all { #expect(try codec.refusal(of: layer.facts) != nil) }
    }
  }

  private static func roundedToBF16(_ floats: [Float]) throws -> [Float] {
    let workspace = Workspace()
    return try workspace.lend(floats.count * 2) { halves in
      try FloatConversion.fromFloat32(.bf16, floats.rawSpan, into: &halves)
      return try workspace.lend(floats.count * 4) { words in
        try FloatConversion.toFloat32(.bf16, halves.bytes, into: &words)
        return floats.indices.map { words.bytes.float32(at: $0) }
      }
    }
  }

  /// The layers of a module, by whichever codec takes it.
  static func layers(
    _ tensors: [Tensor], _ module: String, _ scheme: Scheme? = nil
  ) throws -> [any PackedLayer] {
    let table = TensorTable(tensors)
    let settings = scheme?.rules().settings(for: module)
    let declared = Declared(scheme: scheme, settings: settings)
    let takers = try Codecs.all.filter { codec in
      try codec.candidates(in: table).contains(module)
        && !codec.claims(module, in: table, declared: declared).isEmpty
    }
    guard let codec = takers.first else { return [] }
    #expect(takers.count == 1)
    return try codec.claims(module, in: table, declared: declared).map {
      #expect($0.findings.isEmpty)
      return try codec.open($0, scheme: scheme, assume: nil)
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let file: String
    let module: String
    let parts: [String]
    let layout: String
    var slices = 1
    var isTransposed = false
    var dialect = JSONObject()

    var testDescription: String { "\(file) \(module)" }
  }

  static let cases = [
    Case(
      file: "fp8/golden/layers/ct", module: "block", parts: ["weight", "weight_scale"],
      layout: "fp8", dialect: JSONObject(["block_structure": [64, 64]])),
    Case(
      file: "fp8/golden/layers/ct", module: "tensor", parts: ["weight", "weight_scale"],
      layout: "fp8"),
    Case(
      file: "fp8/golden/layers/hf", module: "experts.gate_up_proj", parts: ["", "_scale_inv"],
      layout: "fp8", slices: 2),
    Case(
      file: "fp8/golden/layers/hf", module: "ue8m0", parts: ["weight", "weight_scale_inv"],
      layout: "fp8"),
    Case(
      file: "mxfp4/golden/layers/ct", module: "mxfp8", parts: ["weight", "weight_scale"],
      layout: "mxfp8"),
    Case(
      file: "mxfp4/golden/layers/ct", module: "mxfp4", parts: ["weight_packed", "weight_scale"],
      layout: "mxfp4"),
    Case(
      file: "mxfp4/golden/layers/hf", module: "v4", parts: ["weight", "scale"], layout: "mxfp4"),
    Case(
      file: "mxfp4/golden/layers/hf", module: "model.layers.0.mlp.experts.gate_up_proj",
      parts: ["_blocks", "_scales"], layout: "mxfp4", slices: 3, isTransposed: true),
    Case(
      file: "nvfp4/golden/layers/ct", module: "nvfp4",
      parts: ["weight_packed", "weight_scale", "weight_global_scale"], layout: "nvfp4"),
  ]

  @Test(arguments: cases) func layersAreDecodedAsTheirWritersDo(_ test: Case) throws {
    var random = SplitMix64(seed: 2)
    let file = try LayerFile(Fixtures.path("\(test.file).safetensors"))
    let tensors = try test.parts.map { part in
      let name = part.isEmpty || part.hasPrefix("_") ? part : "." + part
      return try file.tensor(test.module + name, named: test.module + name)
    }
    let settings = Scheme.Settings(
      bits: 8, groupSize: -1, symmetric: true, dialect: test.dialect)
    let scheme = Scheme(layout: "fp8", defaults: settings)
    let layers = try Self.layers(tensors, test.module, scheme)
    #expect(layers.count == test.slices)
    let expected = try file.floats("\(test.module).dequant")
    var weights: [Float] = []
    for layer in layers {
      #expect(layer.claim.layout == test.layout)
      #expect(layer.claim.dense.isTransposed == test.isTransposed)
      let (rows, columns) = (layer.form.rows, layer.form.columns)
      let matrix = try QuantizedMatrix(layer).dequantized()
      weights += test.isTransposed
        ? (0..<columns).flatMap { column in (0..<rows).map { matrix[$0 * columns + column] } }
        : matrix
      try DecodeChecks.readsAlike(layer, using: &random)
    }
    #expect(mismatch(weights, expected, by: .sameBits) == nil)
  }

  @Test func densePlacesAreThoseOfTransformers() throws {
    let file = try LayerFile(Fixtures.path("mxfp4/golden/layers/hf.safetensors"))
    let name = "model.layers.0.mlp.experts.gate_up_proj"
    let tensors = try ["_blocks", "_scales"].map { try file.tensor(name + $0, named: name + $0) }
    let layers = try Self.layers(tensors, name)
    #expect(layers.map(\.name) == ["\(name)[0]", "\(name)[1]", "\(name)[2]"])
    #expect(layers.allSatisfy { $0.claim.dense == DensePlace(name: name, isTransposed: true) })
    #expect(layers.map(\.claim.byteCount).reduce(0, +) == tensors.map(\.byteCount).reduce(0, +))
  }

  /// ModelOpt's second scale multiplies; one for each expert or one for all.
  @Test(arguments: [[], [1], [2]]) func modelOpt(shape: [Int]) throws {
    var random = SplitMix64(seed: 5)
    let codes = random.bytes(2 * 3 * 16)
    let scales = (0..<12).map { _ in UInt8.random(in: 1..<0x7E, using: &random) }
    let factors: [Float] = [0.0123, 0.00077]
    let count = shape == [2] ? 2 : 1
    let tensors = [
      try Tensor.made("x.weight", .u8, [2, 3, 16], codes),
      try .made("x.weight_scale", .f8e4m3, [2, 3, 2], scales),
      try .made("x.weight_scale_2", .f32, shape, bytes(of: Array(factors.prefix(count)))),
      try .made("x.input_scale", .f32, [], bytes(of: [1])),
    ]
    let layers = try Self.layers(tensors, "x")
    #expect(layers.map(\.claim.layout) == ["nvfp4", "nvfp4"])
    let magnitudes: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    for (slice, layer) in layers.enumerated() {
      let weights = try QuantizedMatrix(layer).dequantized()
      for row in 0..<3 {
        for column in 0..<32 {
          let byte = codes[(slice * 3 + row) * 16 + column / 2]
          let code = column % 2 == 0 ? byte & 15 : byte >> 4
          let value = code < 8 ? magnitudes[Int(code)] : -magnitudes[Int(code) - 8]
          let scale = FloatFormat.f8e4m3.value(UInt32(scales[(slice * 3 + row) * 2 + column / 16]))
          let expected = (scale * factors[count == 2 ? slice : 0]) * value
          #expect(weights[row * 32 + column].bitPattern == expected.bitPattern)
        }
      }
    }
  }

  /// FP8-5: one writer stores what its weights were multiplied with.
  @Test func inverseScales() throws {
    let settings = Scheme.Settings(
      bits: 8, groupSize: -1, symmetric: true,
      dialect: JSONObject(["weight_scale_semantics": "inverse"]))
    let tensors = [
      try Tensor.made("x.weight", .f8e4m3, [1, 2], [0x38, 0xC0]),
      try .made("x.weight_scale_inv", .f32, [], bytes(of: [4])),
    ]
    let plain = try #require(try Self.layers(tensors, "x").first)
    #expect(try QuantizedMatrix(plain).dequantized() == [4, -8])
    let scheme = Scheme(layout: "fp8", defaults: settings)
    let inverse = try #require(try Self.layers(tensors, "x", scheme).first)
    #expect(try QuantizedMatrix(inverse).dequantized() == [0.25, -0.5])
  }

  /// Scales of one, of rows, of 128 × 128 with partial edges, of named and of equal tiles.
  @Test func tiles() {
    let tiles = { (shape: [Int], rows: Int, columns: Int, block: (Int, Int)?) in
      ScaleTiles(
        shape, matrix: (rows, columns), block: block.map { (rows: $0.0, columns: $0.1) }
      ).map { [$0.rows, $0.columns, $0.down, $0.across] }
    }
    #expect(tiles([], 300, 200, nil) == [300, 200, 1, 1])
    #expect(tiles([1], 300, 200, nil) == [300, 200, 1, 1])
    #expect(tiles([300], 300, 200, nil) == [1, 200, 300, 1])
    #expect(tiles([300, 1], 300, 200, nil) == [1, 200, 300, 1])
    #expect(tiles([3, 2], 300, 200, nil) == [128, 128, 3, 2])
    #expect(tiles([5, 4], 576, 512, nil) == [128, 128, 5, 4])
    #expect(tiles([5, 4], 300, 200, (64, 64)) == [64, 64, 5, 4])
    #expect(tiles([300, 25], 300, 200, nil) == [1, 8, 300, 25])
    #expect(tiles([7, 2], 300, 200, nil) == nil)
    #expect(tiles([301, 1], 300, 200, nil) == nil)
    #expect(tiles([0, 1], 300, 200, nil) == nil)
    #expect(tiles([1, 1, 1], 300, 200, nil) == nil)
  }

  /// A tensor of FP8 numbers is dense where no config speaks of it, and broken where one does.
  @Test func weightsWithoutScales() throws {
    let tensors = [try Tensor.made("x.weight", .f8e4m3, [2, 2], [0, 0, 0, 0])]
    #expect(try Self.layers(tensors, "x").isEmpty)
    let settings = Scheme.Settings(bits: 8, groupSize: -1, symmetric: true)
    let failure = #expect(throws: Failure.self) {
      try Self.layers(tensors, "x", Scheme(layout: "fp8", defaults: settings))
    }
    #expect(failure?.rule == "FP8-2")
  }

  /// Shapes of any kind give a rule, never a trap.
  @Test func hostileShapes() throws {
    func rule(_ tensors: [(String, DType, [Int])]) throws -> String? {
      let made = try tensors.map { name, dtype, shape in
        let count = shape.reduce(1, *) * dtype.bits / 8
        return try Tensor.made("x" + name, dtype, shape, [UInt8](repeating: 0, count: count))
      }
      do {
        return try Self.layers(made, "x").isEmpty ? "none" : nil
      } catch {
        return (error as? Failure)?.rule ?? "\(error)"
      }
    }
    let fp8 = (".weight", DType.f8e4m3, [4, 8])
    #expect(try rule([fp8, (".weight_scale", .f32, [4, 1])]) == nil)
    #expect(try rule([fp8, (".weight_scale", .f32, [3])]) == "FP8-3")
    #expect(try rule([fp8, (".weight_scale", .i32, [4])]) == "FP8-3")
    #expect(try rule([(".weight", .f8e4m3, [0, 8]), (".weight_scale", .f32, [])]) == "FP8-1")
    #expect(
      try rule([(".weight", .f8e4m3, [1, 1, 2, 2]), (".weight_scale", .f32, [])]) == "FP8-1")
    #expect(
      try rule([(".weight", .f8e4m3, [70_000, 1, 1]), (".weight_scale", .f32, [70_000])])
        == "FP8-1")
    #expect(try rule([("_blocks", .u8, [2, 4, 1, 16]), ("_scales", .u8, [2, 4, 1])]) == nil)
    #expect(try rule([("_blocks", .u8, [2, 4, 1, 15]), ("_scales", .u8, [2, 4, 1])]) == "MX-1")
    #expect(try rule([("_blocks", .u8, [2, 4, 0, 16]), ("_scales", .u8, [2, 4, 0])]) == "MX-1")
    #expect(try rule([("_blocks", .u8, [2, 4, 1, 16]), ("_scales", .u8, [2, 4])]) == "MX-1")
    let packed = (".weight_packed", DType.u8, [4, 32])
    #expect(try rule([packed, (".weight_scale", .u8, [4, 2])]) == nil)
    #expect(try rule([packed, (".weight_scale", .u8, [4, 4])]) == "MX-3")
    let scale = (".weight_scale", DType.f8e4m3, [4, 4])
    #expect(try rule([packed, scale]) == "NVFP4-1")
    #expect(try rule([packed, scale, (".weight_global_scale", .f32, [2])]) == "NVFP4-1")
    #expect(try rule([packed, scale, (".weight_global_scale", .f32, [1])]) == nil)
    #expect(
      try rule([
        packed, (".weight_scale", .f8e4m3, [4, 2]), (".weight_global_scale", .f32, [1]),
      ]) == "NVFP4-2")
  }

  @Test func configs() throws {
    func scheme(_ text: String) throws -> Scheme? {
      let object = try JSON(parsing: Array(text.utf8), at: "test").object ?? JSONObject()
      return try Codecs.all.lazy.compactMap { try $0.scheme(from: object) }.first
    }
    let deepSeek = try scheme(
      #"{"quant_method": "fp8", "weight_block_size": [128, 128], "fmt": "e4m3"}"#)
    #expect(deepSeek?.layout == "fp8" && deepSeek?.defaults.bits == 8)
    let oss = try scheme(
      #"{"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}"#)
    #expect(oss?.layout == "mxfp4" && oss?.defaults.groupSize == 32)
    #expect(oss?.rules().settings(for: "model.layers.3.self_attn.q_proj") == nil)
    #expect(oss?.rules().settings(for: "model.layers.3.mlp.experts.down_proj") != nil)
    let modelOpt = try scheme(
      #"{"producer": {"name": "modelopt", "version": "0.29"}, "quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head", "*.self_attn*"]}}"#)
    #expect(modelOpt?.layout == "nvfp4" && modelOpt?.writer == "modelopt:0.29")
    #expect(modelOpt?.rules().settings(for: "model.layers.0.self_attn.q_proj") == nil)
    #expect(modelOpt?.rules().settings(for: "lm_head") == nil)
    #expect(modelOpt?.rules().settings(for: "model.layers.0.mlp.up_proj")?.bits == 4)
    let eight = try scheme(#"{"quant_method": "modelopt", "quant_algo": "FP8"}"#)
    #expect(eight?.layout == "fp8")
    #expect(throws: Failure.self) {
      try scheme(#"{"quant_method": "modelopt", "quant_algo": "INT4_AWQ"}"#)
    }
  }
}
