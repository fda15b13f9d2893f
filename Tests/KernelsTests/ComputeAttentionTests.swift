import Kernels
import TestKit
import Testing

@Suite("Operations of models: attention")
struct ComputeAttentionTests {
  private static func check(_ shape: AttentionShape, seed: UInt64) -> ComputeCheck {
    var random = SplitMix64(seed: seed)
    let queries = random.floats(
      shape.sequences * shape.tokens * shape.heads * shape.headSize, times: 3)
    let cached = shape.sequences * shape.capacity * shape.kvHeads * shape.headSize
    let (keys, values) = (random.floats(cached, times: 3), random.floats(cached))
    return ComputeCheck { compute in
      let output = try compute.makeBuffer(queries.count)
      try compute.attend(
        try compute.buffer(queries), keys: try compute.buffer(keys),
        values: try compute.buffer(values), shape, into: output)
      return try compute.values(output)
    }
  }

  private static func shape(
    tokens: Int, start: Int, heads: Int = 4, kvHeads: Int = 2, size: Int = 16
  ) -> AttentionShape {
    AttentionShape(
      tokens: tokens, start: start, capacity: start + tokens + 3, heads: heads, kvHeads: kvHeads,
      headSize: size, scale: 0.3)
  }

  /// Scores reach some 30 here, and an f32 of that size is off by up to 1e-6: a weight of the softmax by as
  /// much of itself for each rounding of its score.
  private static let bound: Float = 5e-6

  @Test("prefill and decode, all ways to share heads", arguments: [(1, 1), (4, 4), (4, 2), (6, 1)])
  func sharing(heads: Int, kvHeads: Int) throws {
    for (tokens, start) in [(1, 0), (1, 40), (5, 0), (17, 3), (33, 0)] {
      for size in [8, 33, 64] {
        let shape = Self.shape(
          tokens: tokens, start: start, heads: heads, kvHeads: kvHeads, size: size)
        if size != 33 || tokens < 10 { try Self.check(shape, seed: 13).run(within: Self.bound) }
      }
    }
  }

  @Test("windows, soft caps and several sequences")
  func variants() throws {
    for (tokens, start) in [(1, 20), (9, 11), (20, 0)] {
      for window in [nil, 1, 5, 100] {
        for cap in [nil, 2] as [Float?] {
          var shape = Self.shape(tokens: tokens, start: start)
          (shape.sequences, shape.window, shape.softcap) = (2, window, cap)
          try Self.check(shape, seed: 14).run(within: Self.bound)
        }
      }
    }
  }

  @Test("several blocks of positions", arguments: [nil, 40])
  func blocks(window: Int?) throws {
    for (tokens, start) in [(1, 600), (20, 500), (140, 130)] {
      var shape = Self.shape(tokens: tokens, start: start, heads: 2, kvHeads: 1, size: 8)
      shape.window = window
      try Self.check(shape, seed: 15).run(within: Self.bound, on: [.best])
    }
  }

  @Test("decoding gives the same bits on every level")
  func levels() throws {
    try Self.check(Self.shape(tokens: 1, start: 300), seed: 16).levelsAgree()
  }

  @Test("scores far apart neither overflow nor vanish")
  func extremes() throws {
    var shape = Self.shape(tokens: 15, start: 7, size: 64)
    shape.scale = 40
    try Self.check(shape, seed: 17).run(within: 1e-4)
  }
}
