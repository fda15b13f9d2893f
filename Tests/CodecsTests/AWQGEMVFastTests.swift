import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/awq_gemv_fast.md` against the writer's own files.
@Suite struct AWQGEMVFastTests {
  @Test(arguments: try Golden.fixtures("awq_gemv_fast"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(golden.layerNames.count == 2)
    #expect(golden.codec.name == "awq_gemv_fast")
    for name in golden.layerNames {
      let layer = try golden.open(name)
      let expected = try Expected(golden, name)
      let matrix = try QuantizedMatrix(layer)
      #expect(mismatch(matrix.codes, expected.codes) == nil)
      #expect(mismatch(matrix.scales, expected.scales, by: .sameBits) == nil)
      if let weights = expected.weights {
        #expect(mismatch(matrix.dequantized(), weights, by: .sameBits) == nil)
      }
      try DecodeChecks.readsAlike(layer, using: &random)
      #expect(golden.codec.refusal(of: try layer.facts) == nil)
      try DecodeChecks.writesAlike(layer, golden.codec)
      let recovered = try RecoveredZeros(layer, Workspace())
      #expect(try mismatch(QuantizedMatrix(recovered).zeros, expected.zeros) == nil)
      #expect(recovered.loss.isComplete)
      #expect(recovered.loss.largestDifference > 0)
      try DecodeChecks.readsAlike(recovered, using: &random)
    }
  }

  /// Single layers packed by the writer's own code: into version 2 of GPTQ and from there back to
  /// the writer's own bytes.
  @Test(arguments: [("p0", 128), ("p1", 32), ("p2", 64)])
  func singleLayersGoThereAndBack(name: String, groupSize: Int) throws {
    let parts = try LayerFile(Fixtures.path("awq_gemv_fast/golden/layers-awq/layers.safetensors"))
    let tensors = try ["qweight", "scales", "qzeros"].map {
      try parts.tensor("\(name).gemvfast.\($0)", named: "layer.\($0)")
    }
    let layer = try Opened.layer(AWQGEMVFast.autoAWQ, tensors, groupSize: groupSize)
    try DecodeChecks.writesAlike(layer, AWQGEMVFast.autoAWQ)
    let recovered = try RecoveredZeros(layer, Workspace())
    #expect(recovered.loss.isComplete)
    let matrix = try QuantizedMatrix(recovered)
    let zeros = try parts.halfFloats("\(name).zeros").map { UInt16($0) }
    #expect(mismatch(matrix.zeros, zeros) == nil)
    #expect(
      mismatch(matrix.scales, try parts.halfFloats("\(name).scales"), by: .sameBits) == nil)
    let there = try Opened.rewritten(recovered, as: GPTQ.v2)
    #expect(try QuantizedMatrix(there) == matrix)
    let back = try Opened.tensors(of: there, as: AWQGEMVFast.autoAWQ)
    #expect(try back.map { try $0.content() } == tensors.map { try $0.content() })
  }

  @Test(arguments: 0..<16) func oneFlippedBitIsSeen(bit: Int) throws {
    let golden = try #require(try Golden.fixtures("awq_gemv_fast").first)
    let name = try #require(golden.layerNames.first)
    let expected = try Expected(golden, name)
    for part in ["qweight", "qzeros", "scales"] {
      let original = try #require(golden.tensor("\(name).\(part)"))
      var bytes = try original.content()
      bytes[bit / 8] ^= 1 << (bit % 8)
      let damaged = Tensor(info: original.info, source: MemorySource(bytes), offset: 0)
      let tensors = golden.tensors.filter { $0.name != original.name } + [damaged]
      let layer = try Opened.layer(golden.codec, tensors, named: name, scheme: golden.scheme)
      let matrix = try QuantizedMatrix(layer)
      let weights = try #require(expected.weights)
      #expect(mismatch(matrix.dequantized(), weights, by: .sameBits) != nil, "\(part)")
    }
  }

  /// The product of a scale and a zero point as the writer rounds it.
  static func term(_ scale: UInt16, _ zero: UInt16) -> UInt16 {
    (-(Float16(bitPattern: scale) * Float16(zero))).bitPattern
  }

  /// Random numbers whose products stay in range.
  private func numbers(
    _ rows: Int, _ columns: Int, size: Int, using random: inout SplitMix64
  ) -> Numbers {
    var numbers = Numbers.random(
      rows, columns, bits: 4, groupSize: size, zeros: 0...15, using: &random)
    numbers.scales = numbers.scales.map { $0 & 0x6BFF | ($0 & 0x7FFF == 0 ? 1 : 0) }
    return numbers
  }

  @Test(arguments: [(4, 64, 64, 2), (36, 192, 32, 4), (64, 640, 128, 1), (40, 256, 256, 1)])
  func oddShapes(rows: Int, columns: Int, size: Int, width: Int) throws {
    var random = SplitMix64(seed: 9)
    let numbers = numbers(rows, columns, size: size, using: &random)
    for (codec, terms) in [(AWQGEMVFast.autoAWQ, "qzeros"), (.llmAWQ, "scaled_zeros")] {
      let tensors = try numbers.awqGEMVFast(width: width, terms: terms, term: Self.term)
      let layer = try Opened.layer(codec, tensors, groupSize: size)
      let matrix = try QuantizedMatrix(layer)
      #expect(matrix.codes == numbers.codes)
      try DecodeChecks.readsAlike(layer, using: &random)
      try DecodeChecks.writesAlike(layer, codec)
      let gemv = try Opened.layer(AWQGEMV(), numbers.awqGEMV(width: width), groupSize: size)
      #expect(try DecodeChecks.recovers(layer, QuantizedMatrix(gemv)) == nil)
      let written = try Opened.tensors(of: gemv, as: codec)
      #expect(try written.map { try $0.content() } == tensors.map { try $0.content() })
    }
  }

  /// FAST-6 for every finite positive and negative half-precision scale and every zero point.
  @Test func everyZeroPointIsRecovered() throws {
    let scales = (0...UInt16.max).filter { Float16(bitPattern: $0).isFinite && $0 & 0x7FFF != 0 }
    for zero in 0...15 as ClosedRange<UInt16> {
      for bits in scales {
        let term = Float16(bitPattern: Self.term(bits, zero))
        guard term.isFinite else { continue }
        let scale = Float(Float16(bitPattern: bits))
        let found = AddedTerms.zero(scale: scale, term: Float(term), bits: 4)
        if found != Float(zero) { Issue.record("\(scale) × \(zero) gives \(found)") }
      }
    }
  }

  @Test func lossIsStated() throws {
    // ½·3 is exact, 1.0009765625·3 is not.
    let numbers = Numbers(
      rows: 4, columns: 64, bits: 4, groups: [Int32](repeating: 0, count: 64), groupCount: 1,
      codes: [UInt8](repeating: 3, count: 256), zeros: [3, 3, 3, 3],
      scales: [0x3800, 0x3C01, 0x0000, 0xBC01])
    let tensors = try numbers.awqGEMVFast(width: 2, term: Self.term)
    let layer = try Opened.layer(AWQGEMVFast.autoAWQ, tensors, groupSize: 64)
    let recovered = try RecoveredZeros(layer, Workspace())
    // Where scale and term are zero any zero point will do.
    #expect(try QuantizedMatrix(recovered).zeros == [3, 3, 8, 3])
    #expect(
      recovered.loss
        == .init(
          groups: 4, roundedGroups: 2, isComplete: true, largestDifference: 0x1p-10))
    let gemv = try Opened.rewritten(recovered, as: AWQGEMV())
    let parts = try AWQGEMVFast.autoAWQ.parts(of: gemv, options: EncodingOptions())
    #expect(parts.map { $0.note == nil } == [true, true, false])
    #expect(parts[2].note?.hasSuffix("move by less than 2^-9") == true)
  }

  @Test func termsThatAreNoZeroPointsAreSeen() throws {
    func recovered(_ term: Float16) throws -> RecoveredZeros {
      let numbers = Numbers(
        rows: 4, columns: 64, bits: 4, groups: [Int32](repeating: 0, count: 64), groupCount: 1,
        codes: [UInt8](repeating: 3, count: 256), zeros: [0, 0, 0, 0],
        scales: [UInt16](repeating: 0x3C00, count: 4))
      let tensors = try numbers.awqGEMVFast(width: 2) { _, _ in term.bitPattern }
      return try RecoveredZeros(
        Opened.layer(AWQGEMVFast.autoAWQ, tensors, groupSize: 64), Workspace())
    }
    #expect(try recovered(-7).loss.isComplete)
    let between = try recovered(-7.25)
    #expect(!between.loss.isComplete)
    #expect(between.loss.largestDifference == 0.25)
    for term in [-16, 1, .nan, .infinity, -.infinity] as [Float16] {
      let failure = try #require(throws: Failure.self) { _ = try recovered(term) }
      #expect(failure.rule == "FAST-6")
      #expect(failure.kind == .cannotRepresent)
    }
  }

  @Test func productsBeyondTheRangeAreRefused() throws {
    var random = SplitMix64(seed: 10)
    var numbers = numbers(4, 64, size: 64, using: &random)
    numbers.scales[2] = 0x7BFF
    numbers.zeros[2] = 2
    let layer = try Opened.layer(AWQGEMV(), numbers.awqGEMV(width: 2), groupSize: 64)
    let failure = try #require(throws: Failure.self) {
      _ = try AWQGEMVFast.autoAWQ.parts(of: layer, options: EncodingOptions())
    }
    #expect(failure.rule == "FAST-5")
    #expect(failure.kind == .cannotRepresent)
  }

  @Test func hostileShapes() throws {
    func rule(
      _ qweight: [Int], _ scales: [Int], _ terms: [Int], type: DType = .f16, size: Int = 64
    ) throws -> String? {
      func make(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> Tensor {
        let count = shape.reduce(dtype.bits / 8, *)
        return try Tensor.made("layer.\(name)", dtype, shape, [UInt8](repeating: 0, count: count))
      }
      let tensors = [
        try make("qweight", .i16, qweight), try make("qzeros", type, terms),
        try make("scales", .f16, scales),
      ]
      do {
        _ = try Opened.layer(AWQGEMVFast.autoAWQ, tensors, groupSize: size)
        return nil
      } catch let failure as Failure {
        return failure.rule
      }
    }
    #expect(try rule([8, 128], [16, 32], [16, 32]) == nil)
    #expect(try rule([8, 96], [16, 32], [16, 32]) == "FAST-2")
    #expect(try rule([0, 128], [16, 0], [16, 0]) == "FAST-2")
    #expect(try rule([1024], [16, 32], [16, 32]) == "FAST-2")
    #expect(try rule([8, 128], [16, 31], [16, 31]) == "FAST-3")
    #expect(try rule([8, 128], [15, 32], [15, 32]) == "FAST-3")
    #expect(try rule([8, 128], [0, 32], [0, 32]) == "FAST-3")
    #expect(try rule([8, 128], [16, 32], [16, 32], type: .bf16) == "FAST-3")
    #expect(try rule([8, 128], [16, 32], [8, 32]) == "FAST-3")
    #expect(try rule([8, 128], [24, 32], [24, 32]) == "FAST-3")
    #expect(try rule([8, 128], [16, 32], [16, 32], size: 32) == "FAST-3")
  }

  @Test func refusalsSayWhy() {
    func rule(
      _ rows: Int = 32, _ columns: Int = 128, bits: Int = 4, size: Int = 64,
      zeros: ClosedRange<Int>? = 0...15, scales: DType = .f16, offset: Offset = .integer,
      _ codec: AWQGEMVFast = .autoAWQ
    ) -> String? {
      let form = QuantizedForm(
        rows: rows, columns: columns, grid: .affine(bits: bits), grouping: .columns(size: size),
        scaleType: scales, offset: offset)
      return codec.refusal(
        of: LayerFacts(name: "layer", form: form, zeros: zeros, ambiguous: 0))?.rule
    }
    #expect(rule() == nil)
    #expect(rule(offset: .added(.f16)) == nil)
    #expect(rule(scales: .bf16, offset: .added(.bf16), .llmAWQ) == nil)
    #expect(rule(bits: 8) == "FAST-1")
    #expect(rule(30) == "FAST-2")
    #expect(rule(32, 96, size: 32) == "FAST-2")
    #expect(rule(size: 16) == "FAST-3")
    #expect(rule(scales: .bf16) == "FAST-3")
    #expect(rule(offset: .added(.f32)) == "FAST-3")
    #expect(rule(offset: .real(.f16)) == "FAST-4")
    #expect(rule(zeros: 0...16) == "FAST-6")
  }
}
