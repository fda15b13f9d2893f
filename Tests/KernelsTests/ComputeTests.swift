import Kernels
import TensorCore
import TestKit
import Testing

@Suite("Operations of models: elements and rows")
struct ComputeTests {
  static let activations: [Activation] = [.relu, .silu, .gelu, .geluTanh, .quickGelu]

  @Test("activations", arguments: activations)
  func activate(activation: Activation) throws {
    var random = SplitMix64(seed: 1)
    for count in [1, 15, 16, 17, 100, 40_000] {
      let factor: Float = count == 100 ? 100 : 6
      let (values, up) = (random.floats(count, times: factor), random.floats(count))
      let alone = ComputeCheck { compute in
        let buffer = try compute.buffer(values)
        try compute.activate(buffer, count: count, activation)
        return try compute.values(buffer)
      }
      let gated = ComputeCheck { compute in
        let buffer = try compute.buffer(values)
        try compute.gate(buffer, try compute.buffer(up), count: count, activation)
        return try compute.values(buffer)
      }
      try alone.run(within: 5e-7)
      if count < 1000 {
        try gated.run(within: 5e-7)
        try gated.levelsAgree()
      }
    }
  }

  @Test("activations at the ends of the range")
  func ends() throws {
    for activation in Self.activations {
      let values: [Float] = [0, -0, 1e-38, -1e-38, 1e30, -1e4, 88, 89, -88, -104, -200, 3e38]
      let check = ComputeCheck { compute in
        let buffer = try compute.buffer(values)
        try compute.activate(buffer, count: values.count, activation)
        return try compute.values(buffer)
      }
      if activation != .geluTanh { try check.run(within: 1e-6) }
      try check.levelsAgree()
      let compute = CPUCompute(threads: 1)
      let bad = try compute.buffer([.nan, .infinity])
      compute.activate(bad, count: 2, activation)
      let found = try compute.values(bad)
      #expect(found[0].isNaN && found[1] == .infinity, "\(activation)")
    }
  }

  @Test("soft cap, addition, scaling")
  func elements() throws {
    var random = SplitMix64(seed: 2)
    for count in [1, 16, 33, 70_000] {
      let (values, others) = (random.floats(count, times: 80), random.floats(count))
      let check = ComputeCheck { compute in
        let buffer = try compute.buffer(values)
        try compute.softcap(buffer, count: count, cap: 30)
        try compute.add(try compute.buffer(others), count: count, to: buffer)
        try compute.scale(buffer, count: count, by: 1.7)
        return try compute.values(buffer)
      }
      try check.run(within: 3e-7)
      if count < 1000 { try check.levelsAgree() }
    }
  }

  @Test("norms, in place too", arguments: [1, 7, 16, 33, 256, 1001])
  func norms(width: Int) throws {
    var random = SplitMix64(seed: 3)
    let rows = 5
    let values = random.floats(rows * width, times: 9).map { $0 + 2 }
    let (weight, bias) = (random.floats(width), random.floats(width))
    for kind in [Norm.Kind.rms, .layer] {
      for hasWeight in [false, true] {
        let check = ComputeCheck { compute in
          let buffer = try compute.buffer(values)
          let norm = Norm(
            kind, epsilon: 1e-5, weight: hasWeight ? try compute.buffer(weight) : nil,
            bias: hasWeight && kind == .layer ? try compute.buffer(bias) : nil)
          try compute.normalize(buffer, rows: rows, width: width, norm, into: buffer)
          return try compute.values(buffer)
        }
        try check.run(within: 1e-6)
        try check.levelsAgree()
      }
    }
  }

  @Test("rotary positions leave the rest of a head alone")
  func rotate() throws {
    var random = SplitMix64(seed: 4)
    let (tokens, heads, size, pairs) = (3, 2, 20, 9)
    let values = random.floats(tokens * heads * size)
    let (cosines, sines) = (random.floats(10 * pairs), random.floats(10 * pairs))
    let check = ComputeCheck { compute in
      let buffer = try compute.buffer(values)
      try compute.rotate(
        buffer, tokens: tokens, heads: heads, headSize: size,
        cosines: try compute.buffer(cosines), sines: try compute.buffer(sines), pairs: pairs,
        positions: [9, 0, 4])
      return try compute.values(buffer)
    }
    try check.run(within: 2e-7)
    try check.levelsAgree()
    #expect(try check.body(ReferenceCompute())[18...19] == values[18...19])
  }

  @Test("rows are stored, split, gathered and scattered")
  func rows() throws {
    var random = SplitMix64(seed: 5)
    let values = random.floats(2 * 3 * 7)
    let check = ComputeCheck { compute in
      let source = try compute.buffer(values)
      let cache = try compute.makeBuffer(2 * 5 * 7)
      try compute.store(source, sequences: 2, tokens: 3, width: 7, into: cache, capacity: 5, at: 2)
      let parts = [try compute.makeBuffer(12), try compute.makeBuffer(30)]
      try compute.split(source, rows: 6, widths: [2, 5], into: parts)
      let picked = try compute.makeBuffer(3 * 7)
      try compute.gather(source, rows: [5, 0, 5], width: 7, into: picked)
      try compute.scatter(
        picked, factors: [0.5, 2, -1], rows: [4, 1, 0], width: 7, addingTo: source)
      return try [cache, parts[0], parts[1], picked, source].flatMap(compute.values)
    }
    try check.run(within: 2e-7)
    try check.levelsAgree()
  }

  @Test("part of a buffer is written and read")
  func transfer() throws {
    for compute in [ReferenceCompute(), CPUCompute()] as [any Compute] {
      let buffer = try compute.makeBuffer(5)
      try compute.write(([2, 3] as [Float]).rawSpan, to: buffer, at: 2)
      #expect(try compute.values(buffer) == [0, 0, 2, 3, 0])
      let copy = try compute.buffer([9, 9, 9, 9, 9, 9])
      try compute.copy(buffer, count: 4, to: copy)
      #expect(try compute.floats(copy, 6) == [0, 0, 2, 3, 9, 9])
      let lent = try compute.withFloats(copy, count: 3) { values in
        (0..<values.byteCount / 4).map { values.float32(at: $0) }
      }
      #expect(lent == [0, 0, 2])
    }
  }
}
