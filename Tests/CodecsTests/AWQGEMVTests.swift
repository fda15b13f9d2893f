import Kernels
import TensorCore
import TestKit
import Testing

@testable import Codecs

/// `Formats/awq_gemv.md` against the writer's own files.
@Suite struct AWQGEMVTests {
  @Test(arguments: try Golden.fixtures("awq_gemv"))
  func goldenHoldsItsWritersNumbers(golden: Golden) throws {
    var random = SplitMix64(seed: 1)
    #expect(golden.layerNames.count == 2)
    #expect(golden.codec.name == "awq_gemv")
    for name in golden.layerNames {
      let layer = try golden.open(name)
      #expect(try DecodeChecks.agrees(layer, with: Expected(golden, name)) == nil)
      try DecodeChecks.readsAlike(layer, using: &random)
      #expect(golden.codec.refusal(of: try layer.facts) == nil)
      try DecodeChecks.writesAlike(layer, golden.codec)
    }
  }

  /// Single layers packed by the writer's own code, with groups of 128, 32 and 64.
  @Test(arguments: [("p0", 128), ("p1", 32), ("p2", 64)])
  func singleLayersHoldTheirWritersNumbers(name: String, groupSize: Int) throws {
    let parts = try LayerFile(Fixtures.path("awq_gemv/golden/layers-awq/layers.safetensors"))
    let tensors = try ["qweight", "qzeros", "scales"].map {
      try parts.tensor("\(name).gemv.\($0)", named: "layer.\($0)")
    }
    let layer = try Opened.layer(AWQGEMV(), tensors, groupSize: groupSize)
    let matrix = try QuantizedMatrix(layer)
    let zeros = try parts.halfFloats("\(name).zeros").map { UInt16($0) }
    #expect(mismatch(matrix.zeros, zeros) == nil)
    #expect(Set(zeros).count > 4)
    #expect(
      mismatch(matrix.scales, try parts.halfFloats("\(name).scales"), by: .sameBits) == nil)
    try DecodeChecks.writesAlike(layer, AWQGEMV())
    // Through version 2 of GPTQ and back: the writer's own bytes again.
    let there = try Opened.rewritten(layer, as: GPTQ.v2)
    #expect(try QuantizedMatrix(there) == matrix)
    let back = try Opened.tensors(of: there, as: AWQGEMV())
    #expect(try back.map { try $0.content() } == tensors.map { try $0.content() })
  }

  @Test(arguments: 0..<32) func oneFlippedBitIsSeen(bit: Int) throws {
    let golden = try #require(try Golden.fixtures("awq_gemv").first)
    let name = try #require(golden.layerNames.first)
    let expected = try Expected(golden, name)
    for (part, what) in [("qweight", "codes"), ("qzeros", "zeros"), ("scales", "scales")] {
      let original = try #require(golden.tensor("\(name).\(part)"))
      var bytes = try original.content()
      // Four groups of 16 in a row are real: half of its first word of zero points.
      let place = part == "qzeros" ? bit % 16 / 8 : bit / 8
      bytes[place] ^= 1 << (bit % 8)
      let damaged = Tensor(info: original.info, source: MemorySource(bytes), offset: 0)
      let tensors = golden.tensors.filter { $0.name != original.name } + [damaged]
      let layer = try Opened.layer(golden.codec, tensors, named: name, scheme: golden.scheme)
      #expect(try DecodeChecks.agrees(layer, with: expected)?.hasPrefix(what) == true)
    }
  }

  /// The widths that the writer's own function gives.
  @Test(arguments: [
    (4096, 128, 4), (11008, 128, 11), (4096, 64, 8), (11008, 64, 22), (128, 128, 1), (128, 32, 4),
    (384, 32, 4), (256, 64, 2), (8192, 8192, 1),
  ])
  func widths(columns: Int, size: Int, width: Int) {
    #expect(PaddedGroups.width(columns: columns, size: size) == width)
  }

  @Test(arguments: [(128, 16), (128, 96), (96, 64), (128, 0), (128, -1), (0, 32), (64, 127)])
  func noSuchGroups(columns: Int, size: Int) {
    #expect(PaddedGroups.width(columns: columns, size: size) == nil)
  }

  @Test func groupsAreSplit() {
    func split(_ columns: Int, _ size: Int) -> Int? {
      let form = QuantizedForm(
        rows: 32, columns: columns, grid: .affine(bits: 4), grouping: .columns(size: size),
        scaleType: .f16, offset: .integer)
      return AWQGEMV().splitGroupSize(for: form)
    }
    #expect(split(256, 128) == nil)
    #expect(split(192, 128) == 64)
    #expect(split(96, 96) == 32)
    #expect(split(160, 128) == 32)
    #expect(split(768, 512) == 256)
    #expect(split(128, 16) == nil)
    #expect(split(128, 48) == nil)
  }

  /// The worked example of `Formats/awq_gemv.md`, word for word.
  @Test func workedExample() throws {
    let numbers = Numbers(
      rows: 2, columns: 64, bits: 4, groups: (0..<64).map { $0 / 32 }, groupCount: 2,
      codes: (0..<128).map { UInt8($0 % 64 % 16) }, zeros: [8, 1, 2, 15],
      scales: [0x3800, 0x3C00, 0x4000, 0x3800])
    let tensors = try numbers.awqGEMV(width: 4)
    #expect(try tensors[0].content().words.prefix(2) == [0x7654_3210, 0xFEDC_BA98])
    #expect(try tensors[1].content().words == [0x18, 0, 0, 0, 0xF2, 0, 0, 0])
    let layer = try Opened.layer(AWQGEMV(), tensors, groupSize: 32)
    let matrix = try QuantizedMatrix(layer)
    #expect(matrix.codes == numbers.codes)
    #expect(matrix.zeros == numbers.zeros)
    // Output 1, input 37: code 5, zero point 15, scale ½.
    #expect(matrix.weight(row: 1, column: 37) == -5)
    try DecodeChecks.writesAlike(layer, AWQGEMV())
  }

  @Test(arguments: [(5, 64, 32, 4), (33, 136, 136, 1), (64, 640, 64, 2), (40, 128, 128, 1)])
  func oddShapes(rows: Int, columns: Int, size: Int, width: Int) throws {
    var random = SplitMix64(seed: 7)
    let numbers = Numbers.random(
      rows, columns, bits: 4, groupSize: size, zeros: 0...15, using: &random)
    let layer = try Opened.layer(AWQGEMV(), numbers.awqGEMV(width: width), groupSize: size)
    let matrix = try QuantizedMatrix(layer)
    #expect(matrix.codes == numbers.codes)
    #expect(matrix.zeros == numbers.zeros)
    try DecodeChecks.readsAlike(layer, using: &random)
    try DecodeChecks.writesAlike(layer, AWQGEMV())
  }

  /// GEMV-2: codes of eight-column GPTQ groups have the same shapes.
  @Test func configTellsItFromGPTQ() throws {
    var random = SplitMix64(seed: 8)
    let numbers = Numbers.random(64, 128, bits: 4, groupSize: 64, zeros: 0...15, using: &random)
    let tensors = try numbers.awqGEMV(width: 2)
    func claims(_ codec: any Codec, _ layout: String?) throws -> Int {
      let settings = Scheme.Settings(bits: 4, groupSize: 8, symmetric: false)
      let scheme = layout.map { Scheme(layout: $0, defaults: settings) }
      let declared = Declared(scheme: scheme, settings: scheme?.defaults)
      return try codec.claims("layer", in: TensorTable(tensors), declared: declared).count
    }
    #expect(try claims(AWQGEMV(), nil) == 1)
    #expect(try claims(AWQGEMV(), "awq_gemv") == 1)
    #expect(try claims(AWQGEMV(), "gptq") == 0)
    #expect(try claims(GPTQ.v1, "gptq") == 1)
    #expect(try claims(GPTQ.v1, nil) == 0)
    #expect(try claims(AWQ(), "awq") == 0)
    // Without a config the width of the padding tells the group size.
    let claim = try #require(
      try AWQGEMV().claims(
        "layer", in: TensorTable(tensors), declared: Declared(scheme: nil, settings: nil)
      ).first)
    #expect(claim.groupSize == 64)
  }

  @Test func hostileShapes() throws {
    func rule(_ qzeros: [Int], _ scales: [Int], size: Int = 32, bits: Int = 4) throws -> String? {
      func make(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> Tensor {
        let count = shape.reduce(dtype.bits / 8, *)
        return try Tensor.made("layer.\(name)", dtype, shape, [UInt8](repeating: 0, count: count))
      }
      let tensors = [
        try make("qweight", .i32, [64, 16]), try make("qzeros", .i32, qzeros),
        try make("scales", .f16, scales),
      ]
      do {
        _ = try Opened.layer(AWQGEMV(), tensors, bits: bits, groupSize: size)
        return nil
      } catch let failure as Failure {
        return failure.rule
      }
    }
    #expect(try rule([64, 4], [64, 32]) == nil)
    #expect(try rule([64, 4], [64, 31]) == "GEMV-2")
    #expect(try rule([32, 4], [64, 32]) == "GEMV-2")
    #expect(try rule([256], [64, 32]) == "GEMV-2")
    #expect(try rule([64, 0], [64, 0]) == "GEMV-3")
    #expect(try rule([64, 3], [64, 24]) == "GEMV-3")
    #expect(try rule([64, 2], [64, 16]) == "GEMV-3")
    #expect(try rule([64, 4], [64, 32], size: 64) == "GEMV-3")
    #expect(try rule([64, 4], [64, 32], bits: 8) == "GEMV-1")
  }
}
