import Checkpoints
import Codecs
import TensorCore
import TestKit
import Testing

/// Layers and tensors of different forms, compared by the values of their weights.
@Suite struct ValueComparisonTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
  }

  private func compare(
    _ a: Checkpoint, _ b: Checkpoint, tolerance: Int = 0, threads: Int = 2
  ) throws -> CheckpointComparison {
    var options = CheckpointComparison.Options()
    options.toleranceULPs = tolerance
    options.threads = threads
    return try CheckpointComparison(a, b, options)
  }

  /// A checkpoint of one dense tensor of these bytes.
  private func dense(_ name: String, _ dtype: DType, _ bytes: [UInt8]) throws -> Checkpoint {
    var model = Model()
    model.add("model.norm.weight", dtype, [bytes.count * 8 / dtype.bits], bytes)
    try model.write(to: folder.path(name))
    return try Checkpoint(opening: folder.path(name))
  }

  private func floats(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in
      (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
    }
  }

  @Test func splitGroupsHaveTheSameValues() throws {
    let split = try Converted(Samples.sharded, to: "gptq_v2") { $0.groupSize = 32 }
    let result = try compare(split.source, split.output)
    #expect(result.isEqual && !result.layers.isEmpty)
    for layer in result.layers {
      let values = try #require(layer.values)
      #expect(values.differing == 0 && values.ulps == 0 && values.maximum == 0)
      #expect(values.relativeRMS == 0 && values.ulpType == .f32 && values.values > 0)
      #expect(layer.codes == 0)
    }
  }

  @Test(arguments: [Samples.permuted, Samples.demo, Samples.threeBits, Samples.awq])
  func packedAgainstItsDenseForm(path: String) throws {
    let exact = try Converted(path, to: "dense") { $0.target = .dense(.f32) }
    for (a, b) in [(exact.source, exact.output), (exact.output, exact.source)] {
      let result = try compare(a, b)
      #expect(result.isEqual, "\(result.json.text(indent: 2))")
      #expect(result.layers.count == exact.source.layers.count)
      #expect(result.layers.allSatisfy { $0.values?.differing == 0 })
      #expect(result.onlyInFirst.isEmpty && result.onlyInSecond.isEmpty)
    }
  }

  @Test(arguments: [DType.bf16, .f16]) func roundedDenseFormIsZeroStepsOff(type: DType) throws {
    let rounded = try Converted(Samples.demo, to: "dense") { $0.target = .dense(type) }
    let result = try compare(rounded.source, rounded.output)
    #expect(result.isEqual)
    for layer in result.layers {
      let values = try #require(layer.values)
      #expect(values.ulps == 0 && values.ulpType == type && values.maximum > 0)
      #expect((values.relativeRMS ?? 1) < 0.004)
    }
  }

  /// The columns of a layer in another order of groups: the same values where scales and zeros of the
  /// groups change places with the index.
  @Test func permutedGroupsHaveTheSameValues() throws {
    func checkpoint(_ name: String, _ groups: [UInt8], scales: [UInt8]) throws -> Checkpoint {
      var model = Model()
      model.addGPTQ("model.layers.0.q_proj")
      for index in model.tensors.indices {
        if model.tensors[index].info.name.hasSuffix("g_idx") {
          model.tensors[index].bytes = (0..<64).flatMap { [groups[$0 / 32], 0, 0, 0] }
        }
        if model.tensors[index].info.name.hasSuffix("scales") {
          model.tensors[index].bytes = scales.flatMap { high in
            (0..<32).flatMap { _ in [0, high] as [UInt8] }
          }
        }
      }
      model.config = Model.gptqConfig()
      try model.write(to: folder.path(name))
      return try Checkpoint(opening: folder.path(name))
    }
    let plain = try checkpoint("plain", [0, 1], scales: [0x3C, 0x38])
    let turned = try checkpoint("turned", [1, 0], scales: [0x38, 0x3C])
    let result = try compare(plain, turned)
    #expect(result.isEqual && result.layers.first?.values?.differing == 0)
    let wrong = try checkpoint("wrong", [1, 0], scales: [0x3C, 0x38])
    let values = try #require(try compare(plain, wrong).layers.first?.values)
    #expect(try !compare(plain, wrong).isEqual)
    // Codes are 0 to 15 and zero points 8, so the largest weight, −8, becomes −4 or the reverse.
    #expect(values.maximum == 4 && values.differing > 0 && values.ulps > 0)
  }

  @Test func stepsAreThoseOfTheCoarserType() throws {
    // 1, the next F32 and 1 + 2⁻⁷ + 2⁻⁹, which BF16 has as 1 + 2⁻⁷.
    let a = try dense("f32", .f32, floats([1, 1.000_000_1, 1.009_765_625, -0.0]))
    let b = try dense("bf16", .bf16, [0x80, 0x3F, 0x80, 0x3F, 0x80, 0x3F, 0x00, 0x00])
    let result = try compare(a, b)
    let values = try #require(result.tensors.first?.values)
    #expect(values.ulpType == .bf16 && values.ulps == 1 && values.differing == 2)
    #expect(values.maximum == 0.009_765_625)
    #expect(!result.isEqual && result.differingTensors == ["model.norm.weight"])
    let allowed = try compare(a, b, tolerance: 1)
    #expect(allowed.isEqual && allowed.differingTensors.isEmpty)
  }

  @Test func stepsCrossZero() throws {
    let a = try dense("below", .f32, floats([-Float.leastNonzeroMagnitude, 0]))
    let b = try dense("above", .f32, floats([Float.leastNonzeroMagnitude, 0]))
    #expect(try compare(a, b).tensors.first?.values?.ulps == 2)
    #expect(try !compare(a, b, tolerance: 1).isEqual)
    #expect(try compare(a, b, tolerance: 2).isEqual)
  }

  /// Without a tolerance, tensors of one type are the same only byte for byte.
  @Test func bytesDecideWithoutATolerance() throws {
    let a = try dense("plus", .f32, floats([0]))
    let b = try dense("minus", .f32, floats([-0.0]))
    #expect(try !compare(a, b).isEqual)
    #expect(try compare(a, b, tolerance: 1).isEqual)
  }

  @Test func notANumberIsNearNothing() throws {
    let a = try dense("nan", .f32, floats([.nan, 1, .infinity]))
    let b = try dense("one", .bf16, [0x80, 0x3F, 0x80, 0x3F, 0x80, 0x7F])
    let values = try #require(try compare(a, b, tolerance: .max).tensors.first?.values)
    #expect(values.unmatched == 1 && values.differing == 1)
    #expect(try !compare(a, b, tolerance: .max).isEqual)
    let same = try dense("nans", .bf16, [0xC0, 0x7F, 0x80, 0x3F, 0x80, 0x7F])
    #expect(try compare(a, same).isEqual)
  }

  @Test func integersAndOtherShapesAreNotComparedByValue() throws {
    let a = try dense("ints", .i32, [1, 0, 0, 0])
    let b = try dense("float", .f32, floats([1]))
    let result = try compare(a, b)
    #expect(!result.isEqual && result.tensors.isEmpty)
    #expect(result.differingTensors == ["model.norm.weight"])
  }

  @Test func otherShapeOfADenseLayerIsNotComparable() throws {
    var packed = Model()
    packed.addGPTQ("model.layers.0.q_proj")
    packed.config = Model.gptqConfig()
    try packed.write(to: folder.path("packed"))
    var other = Model()
    other.addDense("model.layers.0.q_proj.weight", [64, 32])
    try other.write(to: folder.path("other"))
    let result = try compare(
      Checkpoint(opening: folder.path("packed")), Checkpoint(opening: folder.path("other")))
    let layer = try #require(result.layers.first)
    #expect(!result.isEqual && layer.mismatch == "packed 32 × 64 against dense F16 [64, 32]")
  }

  @Test func oneBitIsSeenByValue() throws {
    let exact = try Converted(Samples.demo, to: "dense") { $0.target = .dense(.f32) }
    let copy = folder.path("copy")
    try Files.copy(exact.path, to: copy)
    let layer = try #require(exact.source.layers.first)
    let tensor = try #require(exact.output.tensors[layer.dense.name])
    var bytes = try FileSystem.contents(of: tensor.source.path, limit: 1 << 30)
    bytes[tensor.offset + 40] ^= 1
    let file = copy + "/" + tensor.source.path.fileName
    try Files.write(bytes, to: file)
    let result = try compare(exact.source, Checkpoint(opening: copy))
    #expect(!result.isEqual)
    #expect(result.layers.filter { !$0.isEqual }.map(\.name) == [layer.name])
    #expect(result.layers.first?.values?.differing == 1)
    #expect(result.layers.first?.values?.ulps == 1)
    #expect(try compare(exact.source, Checkpoint(opening: copy), tolerance: 1).isEqual)
  }

  @Test func threadsChangeNothing() throws {
    let rounded = try Converted(Samples.permuted, to: "dense") { $0.target = .dense(.bf16) }
    let one = try compare(rounded.source, rounded.output, threads: 1)
    #expect(try compare(rounded.source, rounded.output, threads: 7).json == one.json)
  }

  /// A mislabelled side is read as the caller says, and warned of otherwise.
  @Test func sidesMayBeOfAssumedVersions() throws {
    var random = SplitMix64(seed: 7)
    var model = Model()
    let packing = Packing(version: 2, symmetric: true)
    model.addRounded("model.layers.0.q_proj", packing, from: &random)
    model.config = packing.config()
    try model.write(to: folder.path("right"))
    model.config = packing.config(naming: 1)
    try model.write(to: folder.path("wrong"))
    let right = try Checkpoint(opening: folder.path("right"))
    let wrong = try Checkpoint(opening: folder.path("wrong"))
    let plain = try CheckpointComparison(right, wrong)
    #expect(!plain.isEqual && plain.findings.map(\.failure.rule) == ["GPTQ-13"])
    var options = CheckpointComparison.Options()
    options.secondVersion = .v2
    let assumed = try CheckpointComparison(right, wrong, options)
    #expect(assumed.isEqual && assumed.findings.isEmpty)
  }
}
