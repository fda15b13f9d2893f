import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Operations of models: linear layers")
struct ComputeLinearTests {
  private static func check(
    _ source: DrawnSource, tokens: Int, _ rule: ActivationRule = .float, factor: Float = 1,
    from random: inout SplitMix64
  ) -> ComputeCheck {
    let values = random.floats(tokens * source.columns, times: factor)
    let bias = random.floats(source.rows)
    return ComputeCheck { compute in
      let weight = try compute.load(source, activations: rule)
      let output = try compute.makeBuffer(tokens * source.rows)
      try compute.linear(
        try compute.buffer(values), tokens: tokens, weight, bias: try compute.buffer(bias),
        into: output)
      return try compute.values(output)
    }
  }

  @Test("dense weights, few tokens and many", arguments: [DType.f32, .f16, .bf16])
  func dense(type: DType) throws {
    var random = SplitMix64(seed: 6)
    for (rows, columns) in [(1, 1), (3, 31), (5, 32), (37, 33), (65, 100)] {
      let source = DrawnSource(rows: rows, columns: columns, type: type, from: &random)
      for tokens in [1, 2, 5, 8, 9, 13] {
        let check = Self.check(source, tokens: tokens, from: &random)
        try check.run(within: 2e-6)
        if tokens <= 8 { try check.levelsAgree() }
      }
    }
  }

  @Test("tiles of columns add up", arguments: [DType.f32, .bf16])
  func tiles(type: DType) throws {
    var random = SplitMix64(seed: 7)
    let source = DrawnSource(rows: 33, columns: 1030, type: type, from: &random)
    try Self.check(source, tokens: 9, from: &random).run(within: 5e-6, on: [.best])
  }

  @Test("packed weights, few tokens and many", arguments: [4, 8])
  func packed(bits: Int) throws {
    var random = SplitMix64(seed: 8)
    for isPermuted in [false, true] {
      let source = DrawnSource(
        rows: 70, columns: 96, bits: bits, group: 32, isPermuted: isPermuted, from: &random)
      for tokens in [1, 9] {
        try Self.check(source, tokens: tokens, from: &random).run(within: 3e-6)
      }
    }
  }

  @Test("8-bit activations of few tokens", arguments: [nil, 32])
  func int8(group: Int?) throws {
    var random = SplitMix64(seed: 9)
    let source = DrawnSource(rows: 40, columns: 128, bits: 4, group: 32, from: &random)
    try Self.check(source, tokens: 3, .int8(group: group), from: &random).run(within: 3e-6)
  }

  @Test(
    "rules of activations",
    arguments: [
      ActivationRule.dynamicInt8, .dynamicFP8(), .dynamicFP8(group: 16, powersOfTwo: true),
      .llmInt8(threshold: 6),
    ])
  func rules(rule: ActivationRule) throws {
    var random = SplitMix64(seed: 10)
    let source = DrawnSource(rows: 24, columns: 64, bits: 8, group: 64, from: &random)
    for tokens in [1, 3, 12] {
      try Self.check(source, tokens: tokens, rule, factor: 8, from: &random).run(within: 3e-6)
    }
  }

  @Test("embeddings are rows times a factor")
  func embed() throws {
    var random = SplitMix64(seed: 11)
    for type in [DType.f32, .f16, .bf16] {
      let dense = DrawnSource(rows: 40, columns: 65, type: type, from: &random)
      try Self.embedding(dense).run(within: 1e-6)
    }
    let packed = DrawnSource(rows: 40, columns: 96, bits: 4, group: 32, from: &random)
    try Self.embedding(packed).run(within: 1e-6)
  }

  private static func embedding(_ source: DrawnSource) -> ComputeCheck {
    ComputeCheck { compute in
      let weight = try compute.load(source, activations: .float)
      let ids: [Int32] = [39, 0, 7, 7, 8, 9, 10, 11, 12, 33]
      let output = try compute.makeBuffer(ids.count * source.columns)
      try compute.embed(ids, weight, factor: 3, into: output)
      return try compute.values(output)
    }
  }

  @Test("dense weights keep their type, packed ones their bits")
  func sizes() throws {
    var random = SplitMix64(seed: 12)
    let compute = CPUCompute()
    let half = DrawnSource(rows: 32, columns: 64, type: .bf16, from: &random)
    #expect(try compute.load(half, activations: .float).byteCount == 32 * 64 * 2)
    let packed = DrawnSource(rows: 32, columns: 64, bits: 4, group: 32, from: &random)
    #expect(try compute.load(packed, activations: .float).byteCount < 32 * 64)
  }
}
