import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// What MLX's layout can hold, in which types, and what its configs and shapes may say.
@Suite struct MLXEncodingTests {
  /// 4-bit zero points whose product with every half is a half, and one that has others.
  @Test func biasesKeepTheTypeOfTheScalesWhereTheyAreExact() throws {
    for (zeros, scale, type) in [
      (8...8, 0x2E01, DType.f16), (0...0, 0x2E01, .f16), (4...4, 0x2FFF, .f16),
      (3...3, 0x2E00, .f16), (3...3, 0x2FFF, .f32), (8...8, 0x7BFF, .f32), (8...8, 0x0001, .f16),
    ] as [(ClosedRange<UInt16>, UInt16, DType)] {
      let layer = try Self.gptq(zeros: zeros, scale: scale)
      let parts = try MLX().parts(of: layer, options: EncodingOptions())
      #expect(parts.map(\.info.dtype) == [.u32, type, type], "\(zeros) \(scale)")
      #expect((parts[1].note != nil) == (type == .f32))
      let copy = try QuantizedMatrix(Opened.rewritten(layer, as: MLX()))
      #expect(try copy.holds(QuantizedMatrix(layer)))
    }
  }

  @Test func brainFloatsStayWhereTheyAreExact() throws {
    #expect(try Self.type(zeros: 8...8, scale: 0x3E81, .bf16) == .bf16)
    #expect(try Self.type(zeros: 3...3, scale: 0x3E81, .bf16) == .f32)
  }

  @Test func float32ScalesCanBeRefused() throws {
    let layer = try Self.gptq(zeros: 3...3, scale: 0x2FFF)
    var options = EncodingOptions()
    options.allowsFloat32Scales = false
    let failure = try #require(throws: Failure.self) {
      try MLX().parts(of: layer, options: options)
    }
    #expect(failure.kind == .cannotRepresent && failure.rule == "MLX-13")
    #expect(failure.place == "layer" && failure.what.contains("64 of 64 groups"))
    #expect(
      try MLX().parts(of: Self.gptq(zeros: 8...8, scale: 0x2FFF), options: options).count == 3)
  }

  @Test(arguments: [0x7C00, 0xFC00, 0x7E00] as [UInt16])
  func scalesThatAreNoNumbersAreRefused(scale: UInt16) throws {
    let failure = try #require(throws: Failure.self) {
      try MLX().parts(of: Self.gptq(zeros: 8...8, scale: scale), options: EncodingOptions())
    }
    #expect(failure.rule == "MLX-12")
  }

  private static func gptq(
    zeros: ClosedRange<UInt16>, scale: UInt16, _ type: DType = .f16
  ) throws -> any PackedLayer {
    var random = SplitMix64(seed: UInt64(scale))
    var numbers = Numbers.random(32, 64, bits: 4, groupSize: 32, zeros: zeros, using: &random)
    numbers.scales = [UInt16](repeating: scale, count: 64)
    numbers.scaleType = type
    return try Opened.layer(GPTQ.v2, numbers.gptqV2(), groupSize: 32)
  }

  private static func type(
    zeros: ClosedRange<UInt16>, scale: UInt16, _ type: DType
  ) throws -> DType {
    let layer = try gptq(zeros: zeros, scale: scale, type)
    return try MLX().parts(of: layer, options: EncodingOptions())[1].info.dtype
  }

  @Test func refusalsNameTheirRules() {
    func facts(
      bits: Int = 4, _ grouping: Grouping = .columns(size: 64), scales: DType = .f16,
      offset: Offset = .integer, grid: Grid? = nil
    ) -> LayerFacts {
      let form = QuantizedForm(
        rows: 5, columns: 384, grid: grid ?? .affine(bits: bits), grouping: grouping,
        scaleType: scales, offset: offset)
      return LayerFacts(name: "layer", form: form, zeros: nil, ambiguous: 0)
    }
    let mlx = MLX()
    #expect(mlx.refusal(of: facts()) == nil)
    #expect(mlx.refusal(of: facts(scales: .f32, offset: .added(.bf16))) == nil)
    #expect(mlx.refusal(of: facts(bits: 7))?.rule == "MLX-3")
    #expect(mlx.refusal(of: facts(.columns(size: 384)))?.rule == "MLX-10")
    #expect(mlx.refusal(of: facts(.map(groups: [], count: 6)))?.rule == "MLX-10")
    #expect(mlx.refusal(of: facts(offset: .real(.f16)))?.rule == "MLX-11")
    #expect(mlx.refusal(of: facts(scales: .f8e4m3))?.rule == "MLX-2")
    #expect(mlx.refusal(of: facts(offset: .none, grid: .e2m1))?.rule == "MLX-7")
    for (size, split) in [(384, 128), (192, 64), (96, 32), (64, nil), (48, nil)] {
      #expect(mlx.splitGroupSize(for: facts(.columns(size: size)).form) == split)
    }
  }

  /// Bits and group size that the config declares, and what the shapes make of them.
  @Test func shapesAndConfigAreCompared() throws {
    let cases: [(declared: (Int, Int)?, read: (Int, Int), findings: Int)] = [
      ((4, 64), (4, 64), 0), ((8, 32), (8, 32), 0), ((2, 128), (2, 128), 0),
      ((3, 64), (4, 64), 1), ((8, 64), (4, 64), 1), ((8, 16), (8, 32), 1), ((5, 9), (4, 64), 2),
      ((.min, .max), (4, 64), 2), (nil, (4, 64), 1),
    ]
    for (declared, read, findings) in cases {
      let table = TensorTable(try Self.parts([3, 16], [3, 2], .f16))
      let settings = declared.map {
        Scheme.Settings(bits: $0.0, groupSize: $0.1, symmetric: false)
      }
      let claims = try MLX().claims(
        "layer", in: table, declared: Declared(scheme: nil, settings: settings))
      let claim = try #require(claims.first)
      #expect((claim.bits, claim.groupSize) == read)
      #expect(claim.findings.count == findings)
      #expect(claim.findings.allSatisfy { $0.failure.rule == "MLX-4" })
      #expect(claim.columns * claim.bits == 16 * 32)
    }
  }

  @Test func hostileShapesAreRefused() throws {
    func rule(_ weight: [Int], _ scales: [Int], _ type: DType = .f16, biases: Bool = true) throws
      -> String?
    {
      let tensors = try Self.parts(weight, scales, type).filter {
        biases || !$0.name.hasSuffix("biases")
      }
      let none = Declared(scheme: nil, settings: nil)
      do {
        return try MLX().claims("layer", in: TensorTable(tensors), declared: none).isEmpty
          ? "no claim" : nil
      } catch let failure as Failure {
        return failure.rule
      }
    }
    #expect(try rule([3, 8], [3, 2]) == nil)
    #expect(try rule([3, 8], [3, 2], biases: false) == "MLX-1")
    #expect(try rule([3, 8], [4, 2]) == "MLX-2")
    #expect(try rule([3, 8], [6]) == "MLX-2")
    #expect(try rule([24], [6]) == "MLX-2")
    #expect(try rule([0, 8], [0, 2]) == "MLX-2")
    #expect(try rule([3, 0], [3, 2]) == "MLX-2")
    #expect(try rule([3, 8], [3, 0]) == "MLX-2")
    #expect(try rule([2, 2, 3, 8], [2, 2, 3, 2]) == "MLX-2")
    #expect(try rule([3, 8], [3, 2], .f64) == "MLX-2")
    #expect(try rule([3, 8], [3, 2], .u8) == "MLX-2")
    #expect(try rule([3, 8], [3, 2], .u8, biases: false) == nil)
    #expect(try rule([3, 8], [3, 8], .u8, biases: false) == "MLX-3")
    #expect(try rule([3, 7], [3, 1]) == "MLX-3")
    #expect(try rule([3, 8], [3, 3]) == "MLX-3")
    #expect(try rule([1 << 17, 1, 1], [1 << 17, 1, 1]) == "MLX-8")
  }

  /// Fused experts are layers of their own, each its part of the tensors.
  @Test func fusedExperts() throws {
    var random = SplitMix64(seed: 3)
    var experts: [[Tensor]] = []
    for _ in 0..<3 {
      let codes = (0..<40).map { _ in
        (0..<64).map { _ in UInt8.random(in: 0...15, using: &random) }
      }
      experts.append(
        try MLXTests.tensors(
          codes, bits: 4, scales: (0..<40).map { 0x3000 + $0 }, biases: (0..<40).map { 0xB000 + $0 }
        ))
    }
    let fused = try (0..<3).map { part in
      let shape = [3] + experts[0][part].shape.dimensions
      let bytes = try experts.flatMap { try $0[part].content() }
      return try Tensor.made(experts[0][part].name, experts[0][part].dtype, shape, bytes)
    }
    let settings = Scheme.Settings(bits: 4, groupSize: 64, symmetric: false)
    let claims = try MLX().claims(
      "layer", in: TensorTable(fused), declared: Declared(scheme: nil, settings: settings))
    #expect(claims.map(\.name) == ["layer[0]", "layer[1]", "layer[2]"])
    for (claim, tensors) in zip(claims, experts) {
      let layer = try MLX().open(claim, scheme: nil, assume: nil)
      let alone = try Opened.layer(MLX(), tensors, groupSize: 64)
      #expect(try QuantizedMatrix(layer) == QuantizedMatrix(alone))
      try DecodeChecks.readsAlike(layer, using: &random)
      #expect(throws: Failure.self) { try MLX().parts(of: layer, options: EncodingOptions()) }
    }
  }

  private static func parts(_ weight: [Int], _ scales: [Int], _ type: DType) throws -> [Tensor] {
    func zeros(_ shape: [Int], _ type: DType) -> [UInt8] {
      [UInt8](repeating: 0, count: shape.reduce(1, *) * type.bits / 8)
    }
    return [
      try Tensor.made("layer.weight", .u32, weight, zeros(weight, .u32)),
      try Tensor.made("layer.scales", type, scales, zeros(scales, type)),
      try Tensor.made("layer.biases", type, scales, zeros(scales, type)),
    ]
  }

  @Test func configsAreRead() throws {
    func scheme(_ text: String) throws -> Scheme? {
      let json = try JSON(parsing: Array(text.utf8), at: "config")
      return try MLX().scheme(from: json.object ?? JSONObject())
    }
    let read = try #require(
      try scheme(
        #"{"group_size": 64, "bits": 4, "a.b": {"group_size": 32, "bits": 8}, "c": false, "d": 1}"#)
    )
    #expect(read.defaults == Scheme.Settings(bits: 4, groupSize: 64, symmetric: false))
    #expect(read.rules().settings(for: "a.b")?.bits == 8)
    #expect(read.rules().settings(for: "c") == nil)
    #expect(read.rules().settings(for: "lm_head")?.bits == 4)
    #expect(try scheme(#"{"mode": "mxfp8"}"#)?.defaults.bits == 8)
    #expect(try scheme(#"{"mode": "nvfp4", "bits": 4}"#)?.defaults.groupSize == 16)
    #expect(try scheme(#"{"quant_method": "awq", "bits": 4, "group_size": 64}"#) == nil)
    #expect(try scheme(#"{"bits": 4, "group_size": 64, "desc_act": false}"#) == nil)
    #expect(try scheme("{}") == nil)
    // MLX has no word for the writer or the head.
    #expect(try MLX().scheme(from: MLX().config(for: read)) == read)
    for (text, rule) in [
      (#"{"mode": "int4", "bits": 4, "group_size": 64}"#, "MLX-22"),
      (#"{"bits": "4", "group_size": 64}"#, "MLX-20"),
      (#"{"bits": 4, "group_size": 64, "a": {"bits": []}}"#, "MLX-20"),
    ] {
      let failure = try #require(throws: Failure.self) { try scheme(text) }
      #expect(failure.rule == rule)
    }
  }
}
