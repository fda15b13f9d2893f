import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Law 5: parts of any types and shapes, under configs that say anything, give a layer that can be
/// read whole, no layer, or a failure; never a trap.
@Suite struct ClaimTests {
  @Test(arguments: 0..<8 as Range<UInt64>) func anyPartsGiveALayerOrAFailure(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var opened = 0
    for _ in 0..<2000 {
      let tensors = try Self.parts(using: &random)
      let settings = Scheme.Settings(
        bits: [2, 3, 4, 8, 0, -1, .max].pick(&random), groupSize: Self.sizes.pick(&random),
        symmetric: .random(using: &random))
      for codec in Codecs.all {
        let scheme = Scheme(
          layout: codec.name, defaults: settings,
          writer: [nil, "gptqmodel:7.7.0", "x"].pick(&random))
        let declared =
          Bool.random(using: &random)
          ? Declared(scheme: scheme, settings: settings) : Declared(scheme: nil, settings: nil)
        opened += try open(codec, tensors, declared, using: &random) ? 1 : 0
      }
    }
    // Shapes that fit must be among the random ones, or nothing was tried.
    #expect(opened > 100)
  }

  private func open(
    _ codec: any Codec, _ tensors: [Tensor], _ declared: Declared, using random: inout SplitMix64
  ) throws -> Bool {
    let rule = [nil, .word, .mask, .carry].pick(&random) as ZeroRule?
    do {
      let table = TensorTable(tensors)
      let claims = try codec.claims("layer", in: table, declared: declared)
      guard let claim = claims.first else { return false }
      let layer = try codec.open(claim, scheme: declared.scheme, assume: rule)
      let matrix = try QuantizedMatrix(layer)
      let facts = try layer.facts
      for target in Codecs.writable where target.refusal(of: facts) == nil {
        guard let copy = try copy(layer, target) else { continue }
        #expect(copy.codes == matrix.codes)
        #expect(copy.form.offset != matrix.form.offset || copy.zeros == matrix.zeros)
      }
      return true
    } catch let failure as Failure where failure.kind == .cannotRepresent {
      // Random scales have products with zero points that no half-precision number holds.
      #expect(failure.rule == "FAST-5", "\(failure)")
      return true
    } catch let failure as Failure {
      #expect(failure.kind == .malformed, "\(failure)")
      #expect(failure.rule != nil, "\(failure)")
      return false
    }
  }

  /// nil where the layout says of the numbers, random as they are, that it can't hold them.
  private func copy(_ layer: any PackedLayer, _ target: any Codec) throws -> QuantizedMatrix? {
    do {
      return try QuantizedMatrix(Opened.rewritten(layer, as: target))
    } catch let failure as Failure where failure.kind == .cannotRepresent {
      #expect(failure.rule != nil, "\(failure)")
      return nil
    }
  }

  private static let sizes = [-1, 8, 16, 32, 33, 0, -2, .max, .min]

  /// Parts that mostly fit each other, with random numbers in them.
  private static func parts(using random: inout SplitMix64) throws -> [Tensor] {
    let rows = [8, 16, 32, 64, 5, 1].pick(&random)
    let columns = [8, 16, 32, 64, 40, 7].pick(&random)
    let bits = [2, 3, 4, 4, 4, 8].pick(&random)
    let groups = [1, 2, 3, 4, 0].pick(&random)
    let isAWQ = Bool.random(using: &random)
    let shapes: [(String, DType, [Int])] = [
      ("qweight", .i32, isAWQ ? [columns, rows / 8] : [columns * bits / 32, rows]),
      ("qzeros", .i32, [groups, isAWQ ? rows / 8 : rows * bits / 32]),
      ("scales", [.f16, .bf16, .f32].pick(&random), [groups, rows]), ("g_idx", .i32, [columns]),
    ]
    return try shapes.compactMap { part, dtype, shape in
      switch Int.random(in: 0..<24, using: &random) {
      case 0: return nil
      case 1: return try made(part, [.u8, .i64, .f64].pick(&random), shape, using: &random)
      case 2: return try made(part, dtype, shape + [1], using: &random)
      case 3: return try made(part, dtype, [shape.reduce(1, *)], using: &random)
      case 4: return try made(part, dtype, [], using: &random)
      case 5: return try made(part, dtype, shape.map { $0 + 1 }, using: &random)
      default: return try made(part, dtype, shape, using: &random)
      }
    }
  }

  private static func made(
    _ part: String, _ dtype: DType, _ shape: [Int], using random: inout SplitMix64
  ) throws -> Tensor {
    let count = shape.reduce(1, *) * dtype.bits / 8
    guard part == "g_idx" && dtype == .i32 && Int.random(in: 0..<4, using: &random) > 0 else {
      return try Tensor.made("layer.\(part)", dtype, shape, random.bytes(count))
    }
    // Mostly groups that exist.
    let groups = (0..<count / 4).flatMap { _ in
      [UInt8.random(in: 0..<2, using: &random), 0, 0, 0] as [UInt8]
    }
    return try Tensor.made("layer.\(part)", dtype, shape, groups)
  }
}

extension Array {
  fileprivate func pick(_ random: inout SplitMix64) -> Element {
    self[Int.random(in: indices, using: &random)]
  }
}
