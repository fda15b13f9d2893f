import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Law 2: where a layout can hold a layer's numbers it holds exactly them, and where it can't it
/// says so before anything is written.
@Suite struct LosslessTests {
  struct Shape: Sendable {
    let rows: Int
    let columns: Int
  }

  static let shapes = [(32, 32), (64, 96), (8, 40), (16, 48), (8, 8), (40, 72), (4, 16)]
    .map { Shape(rows: $0.0, columns: $0.1) }

  @Test(arguments: shapes, [2, 3, 4, 8])
  func refusalsAreExact(shape: Shape, bits: Int) throws {
    guard shape.rows * bits % 32 == 0 && shape.columns * bits % 32 == 0 else { return }
    var random = SplitMix64(seed: UInt64(shape.rows << 16 | shape.columns << 4 | bits))
    let full = UInt16((1 << bits) - 1)
    let ranges = [0...full, 1...full, 0...0, full...full, 1...full + 1]
    for groupSize in [-1, 8, 20, 32, shape.columns - 1, shape.columns + 1] {
      for zeros in ranges {
        var numbers = Numbers.random(
          shape.rows, shape.columns, bits: bits, groupSize: groupSize, zeros: zeros,
          using: &random)
        try check(numbers, groupSize)
        numbers.groups.shuffle(using: &random)
        numbers.scaleType = .bf16
        try check(numbers, groupSize)
      }
    }
  }

  private func check(_ numbers: Numbers, _ groupSize: Int) throws {
    let full = UInt16((1 << numbers.bits) - 1)
    // A zero point of 2^bits can come only from a version 1 field that is read without a mask.
    let carries = numbers.zeros.contains { $0 > full }
    let source =
      carries
      ? try Opened.layer(
        GPTQ.v1, numbers.gptqV1(), bits: numbers.bits, groupSize: groupSize, assume: .carry)
      : try Opened.layer(
        GPTQ.v2, numbers.gptqV2(), bits: numbers.bits, groupSize: groupSize)
    let matrix = try QuantizedMatrix(source)
    #expect(mismatch(matrix.codes, numbers.codes) == nil)
    #expect(mismatch(matrix.zeros, numbers.zeros) == nil)
    let facts = try source.facts
    for codec in Codecs.writable {
      let isHeld = codec.refusal(of: facts) == nil
      #expect(isHeld == numbers.fits(codec.name), "\(codec.name) \(numbers.summary)")
      guard isHeld else { continue }
      if codec.name == "mlx", matrix.leavesFloat32 {
        let failure = #expect(throws: Failure.self) {
          try codec.parts(of: source, options: EncodingOptions())
        }
        #expect(failure?.rule == "MLX-12")
        continue
      }
      let copy = try QuantizedMatrix(Opened.rewritten(source, as: codec))
      #expect(copy.holds(matrix), "\(codec.name) \(numbers.summary)")
    }
  }

  /// Version 1 to 2 to AWQ and back to version 1: the same numbers at every stop, and the bytes of
  /// the start at the end.
  @Test(arguments: shapes, [-1, 8, 16]) func roundTheHouse(shape: Shape, groupSize: Int) throws {
    guard shape.rows % 8 == 0, groupSize == -1 || shape.columns % groupSize == 0 else { return }
    var random = SplitMix64(seed: UInt64(shape.rows << 16 | shape.columns))
    let numbers = Numbers.random(
      shape.rows, shape.columns, bits: 4, groupSize: groupSize, zeros: 1...15, using: &random)
    let start = try Opened.layer(GPTQ.v1, numbers.gptqV1(), groupSize: groupSize)
    let matrix = try QuantizedMatrix(start)
    var layer = start
    for codec in [GPTQ.v2, AWQ(), GPTQ.v1] as [any Codec] {
      #expect(codec.refusal(of: try layer.facts) == nil)
      layer = try Opened.rewritten(layer, as: codec)
      #expect(try QuantizedMatrix(layer) == matrix)
      try DecodeChecks.readsAlike(layer, using: &random)
      try DecodeChecks.writesAlike(layer, codec)
    }
    for (part, tensor) in start.claim.parts {
      #expect(try layer.claim.parts[part]?.content() == tensor.content(), "\(part)")
    }
    // The same through each single step, against a packer that shares no code with the codecs.
    let awq = try Opened.tensors(of: start, as: AWQ())
    #expect(try awq.map { try $0.content() } == numbers.awq().map { try $0.content() })
    let v2 = try Opened.tensors(of: layer, as: GPTQ.v2)
    #expect(try v2.map { try $0.content() } == numbers.gptqV2().map { try $0.content() })
  }

  @Test func awqLayersBecomeGPTQ() throws {
    var random = SplitMix64(seed: 5)
    for zeros in [0...15, 1...15] as [ClosedRange<UInt16>] {
      let numbers = Numbers.random(8, 40, bits: 4, groupSize: 20, zeros: zeros, using: &random)
      let layer = try Opened.layer(AWQ(), numbers.awq(), groupSize: 20)
      #expect(try QuantizedMatrix(layer).codes == numbers.codes)
      try DecodeChecks.readsAlike(layer, using: &random)
      let facts = try layer.facts
      #expect(GPTQ.v2.refusal(of: facts) == nil)
      #expect(GPTQ.v1.refusal(of: facts)?.rule == (zeros.contains(0) ? "GPTQ-11" : nil))
      let copy = try Opened.tensors(of: layer, as: GPTQ.v2)
      #expect(try copy.map { try $0.content() } == numbers.gptqV2().map { try $0.content() })
    }
  }

  /// Each refusal names its rule.
  @Test func refusalsNameTheirRules() {
    func facts(
      _ rows: Int = 32, _ columns: Int = 64, bits: Int = 4, size: Int = 32,
      zeros: ClosedRange<Int> = 1...15, scales: DType = .f16, isPermuted: Bool = false
    ) -> LayerFacts {
      let form = QuantizedForm(
        rows: rows, columns: columns, grid: .affine(bits: bits),
        grouping: isPermuted
          ? .map(groups: [Int32](repeating: 0, count: columns), count: 1) : .columns(size: size),
        scaleType: scales, offset: .integer)
      return LayerFacts(name: "layer", form: form, zeros: zeros, ambiguous: 0)
    }
    let awq = AWQ()
    #expect(awq.refusal(of: facts()) == nil)
    #expect(awq.refusal(of: facts(bits: 8))?.rule == "AWQ-1")
    #expect(awq.refusal(of: facts(isPermuted: true))?.rule == "AWQ-5")
    #expect(awq.refusal(of: facts(size: 33))?.rule == "AWQ-4")
    #expect(awq.refusal(of: facts(12))?.rule == "AWQ-2")
    #expect(awq.refusal(of: facts(zeros: 0...16))?.rule == "AWQ-3")
    #expect(awq.refusal(of: facts(scales: .f32))?.rule == "AWQ-2")
    #expect(GPTQ.v1.refusal(of: facts(isPermuted: true)) == nil)
    #expect(GPTQ.v1.refusal(of: facts(bits: 5))?.rule == "GPTQ-3")
    #expect(GPTQ.v1.refusal(of: facts(12))?.rule == "GPTQ-2")
    #expect(GPTQ.v1.refusal(of: facts(32, 12))?.rule == "GPTQ-2")
    #expect(GPTQ.v1.refusal(of: facts(zeros: 0...15))?.rule == "GPTQ-11")
    #expect(GPTQ.v1.refusal(of: facts(zeros: 1...16))?.rule == "GPTQ-11")
    #expect(GPTQ.v2.refusal(of: facts(zeros: 0...15)) == nil)
    #expect(GPTQ.v2.refusal(of: facts(zeros: 0...16))?.rule == "GPTQ-10")
    #expect(GPTQ.v2.refusal(of: facts(scales: .f32))?.rule == "GPTQ-2")
  }
}

extension QuantizedMatrix {
  /// Whether a product of a scale with a code or a zero point is too large for float32.
  var leavesFloat32: Bool {
    let largest = max(Float(1 << form.grid.bits - 1), Float(zeros.max() ?? 0))
    return scales.contains { !($0 * largest).isFinite }
  }

  /// Whether this holds the numbers of another, its whole zero points perhaps as −(z·s).
  func holds(_ other: QuantizedMatrix) -> Bool {
    guard case .added = form.offset, other.form.offset == .integer else { return self == other }
    let terms = zip(other.zeros, other.scales).map { -(Float($0) * $1) }
    return codes == other.codes && scales == other.scales && offsets == terms
      && dequantized() == other.dequantized()
  }
}

extension Numbers {
  /// Whether a layout has a place for these numbers, from the tables of `Formats/` alone.
  func fits(_ layout: String) -> Bool {
    let low = zeros.min() ?? 0
    let high = zeros.max() ?? 0
    let isInOrder = zip(groups, groups.dropFirst()).allSatisfy(<=)
    guard Codecs.named(layout)?.isWritable == true else { return false }
    switch layout {
    case "gptq": return low >= 1 && high < 1 << bits
    case "gptq_v2", "compressed-tensors": return high < 1 << bits
    case "awq_gemv":
      let size = groups.count { $0 == groups[0] }
      return bits == 4 && isInOrder && columns % size == 0 && columns % 8 == 0 && high <= 15
        && (size == 32 || size == 64 || size >= 128) && scaleType == .f16
    // Its blocks of 64 inputs divide none of the shapes here.
    case "awq_gemv_fast", "llm_awq": return false
    // Tables of values, and maxima that are no scales.
    case "bnb-4bit", "bnb-int8": return false
    case "mlx":
      let size = groups.count { $0 == groups[0] }
      return isInOrder && [32, 64, 128].contains(size) && columns % size == 0
    default:
      let size = groups.count { $0 == groups[0] }
      return bits == 4 && isInOrder && columns % size == 0 && rows % 8 == 0 && high <= 15
    }
  }

  var summary: String {
    "\(rows) × \(columns), \(bits) bits, \(groupCount) groups, zeros "
      + "\(zeros.min() ?? 0)...\(zeros.max() ?? 0)"
  }
}
