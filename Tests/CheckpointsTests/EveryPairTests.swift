import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Laws 1, 2, 3 and 7 over every ordered pair of layouts: a model is written in the first, and from
/// there in the second, wherever each can hold it; elsewhere it is refused before a byte is written.
@Suite struct EveryPairTests {
  /// A model of two packed layers of different shape and a few dense tensors.
  struct Start: CustomStringConvertible, Sendable {
    var packing: Packing
    var shapes: [Shape]
    /// Layouts that can hold it exactly, by the tables of `Formats/`.
    var fits: Set<String>

    var description: String { "\(packing), groups of \(packing.groupSize), \(shapes)" }
  }

  struct Shape: Sendable {
    let rows: Int
    let columns: Int

    init(_ rows: Int, _ columns: Int) {
      self.rows = rows
      self.columns = columns
    }
  }

  private static let gptq: Set = ["gptq", "gptq_v2"]
  /// Layouts of tables and row maxima, which whole numbers under scales do not become in general:
  /// `BitsAndBytesTests` has the ones that do.
  private static let apart: Set = ["bnb-4bit", "bnb-int8"]
  private static let all = Set(Codecs.writable.map(\.name)).subtracting(apart)
  /// Rows and columns are multiples of nothing but what a layout must have to hold them at all.
  static let starts = [
    Start(packing: Packing(groupSize: 32), shapes: [.init(72, 320), .init(8, 64)], fits: all),
    Start(packing: Packing(version: 2, groupSize: 64), shapes: [.init(40, 192)], fits: all),
    Start(
      packing: Packing(symmetric: true, groupSize: 128), shapes: [.init(104, 384), .init(24, 128)],
      fits: all),
    Start(
      packing: Packing(groupSize: 32), shapes: [.init(24, 96), .init(56, 160)],
      fits: all.subtracting(["awq_gemv_fast", "llm_awq"])),
    Start(
      packing: Packing(groupSize: 40), shapes: [.init(24, 200)],
      fits: gptq.union(["awq", "compressed-tensors"])),
    Start(
      packing: Packing(bits: 8, groupSize: 32), shapes: [.init(12, 96), .init(20, 32)],
      fits: gptq.union(["compressed-tensors", "mlx"])),
    Start(
      packing: Packing(bits: 2, groupSize: 64), shapes: [.init(48, 192)],
      fits: gptq.union(["compressed-tensors", "mlx"])),
    Start(
      packing: Packing(bits: 3, groupSize: 32), shapes: [.init(96, 160), .init(32, 32)],
      fits: gptq.union(["compressed-tensors", "mlx"])),
  ]

  private func checkpoint(_ start: Start, in folder: TemporaryFolder) throws -> Checkpoint {
    var random = SplitMix64(seed: UInt64(start.packing.bits * 1000 + start.packing.groupSize))
    var model = Model()
    model.config = start.packing.config()
    for (index, shape) in start.shapes.enumerated() {
      model.addRounded(
        "model.layers.\(index).mlp.down_proj", rows: shape.rows, columns: shape.columns,
        start.packing, from: &random)
      model.addDense("model.layers.\(index).input_layernorm.weight", [shape.columns])
    }
    model.addDense("lm_head.weight", [7, 13])
    model.others = ["tokenizer.json": "{}"]
    try model.write(to: folder.path("start"))
    return try Checkpoint(opening: folder.path("start"))
  }

  @Test(arguments: starts) func everyPairKeepsTheNumbers(start: Start) throws {
    let folder = try TemporaryFolder()
    let source = try checkpoint(start, in: folder)
    var pairs: Set<String> = []
    for first in Codecs.writable.map(\.name) {
      guard start.fits.contains(first) else {
        try expectRefused(source, first)
        continue
      }
      let there = try Converted(source, to: first)
      try Laws.check(there, numbersOf: source)
      for second in Codecs.writable.map(\.name) {
        guard start.fits.contains(second) else {
          try expectRefused(there.output, second)
          continue
        }
        let further = try Converted(there.output, to: second)
        let origin = first.isRounded && second == "mlx" ? there.output : source
        try Laws.check(further, numbersOf: origin)
        let way = "\(first) \(second)"
        pairs.insert(way)
        let back = try Converted(further.output, to: first)
        if !Self.otherWaysBack.contains(way) { try expectSameBytes(back, there, way) }
        if !second.isRounded || first != "mlx" { try Laws.check(back, numbersOf: source) }
      }
    }
    #expect(pairs.count == start.fits.count * start.fits.count)
  }

  /// No pair is left out: some start goes through each of them.
  @Test func everyPairIsTaken() {
    let pairs = Self.starts.reduce(into: Set<String>()) { pairs, start in
      for first in start.fits { for second in start.fits { pairs.insert(first + " " + second) } }
    }
    let names = Self.all
    for first in names {
      for second in names { #expect(pairs.contains(first + " " + second), "\(first) \(second)") }
    }
  }

  /// Ways back to the same numbers in other bytes: MLX widens scales to F32 where a bias needs that,
  /// and what GEMV_FAST has rounded MLX takes as the bias it is.
  private static let otherWaysBack: Set = [
    "compressed-tensors mlx", "mlx awq_gemv_fast", "mlx llm_awq",
  ]

  /// The way back gives the same file, whatever lies between (law 1).
  private func expectSameBytes(_ back: Converted, _ there: Converted, _ way: String) throws {
    let tensors = there.output.tensors.tensors
    #expect(back.output.tensors.tensors.map(\.info) == tensors.map(\.info), "\(way)")
    for tensor in tensors {
      let copy = try #require(back.output.tensors[tensor.name])
      #expect(try Bytes.same(copy, tensor), "\(way): \(tensor.name)")
    }
  }

  private func expectRefused(_ source: Checkpoint, _ target: String) throws {
    let failure = #expect(throws: Failure.self, "\(target)") {
      try ConversionPlan(source, ConversionOptions(target: target))
    }
    #expect(failure?.kind == .cannotRepresent)
    #expect(failure?.reasons.isEmpty == false && failure?.rule != nil && failure?.remedy != nil)
  }
}

extension String {
  /// Whether a layout of this name stores its terms rounded.
  fileprivate var isRounded: Bool { self == "awq_gemv_fast" || self == "llm_awq" }
}
