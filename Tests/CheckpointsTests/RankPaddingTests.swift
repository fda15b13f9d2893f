import Checkpoints
import Codecs
import Kernels
import TensorCore
import TestKit
import Testing

/// Padding for tensor parallelism changes shapes and not what a block computes.
@Suite struct RankPaddingTests {
  /// A checkpoint in a folder that goes away with this value.
  private struct Sample {
    let folder: TemporaryFolder
    var path: String { folder.path("in") }
  }

  private static func model(
    _ size: Int = 96, groupSize: Int = 32, more: (inout Model) -> Void = { _ in }
  ) throws -> Sample {
    var model = Model()
    let block = "model.layers.0.mlp."
    model.addPacked(block + "gate_proj", rows: size, columns: 64, groupSize: groupSize, seed: 3)
    model.addPacked(block + "up_proj", rows: size, columns: 64, groupSize: groupSize, seed: 5)
    model.addPacked(block + "down_proj", rows: 64, columns: size, groupSize: groupSize, seed: 7)
    model.addDense(block + "gate_proj.bias", [size], seed: 1)
    model.addDense(block + "up_proj.bias", [size], seed: 9)
    model.addDense(block + "down_proj.bias", [64], seed: 4)
    model.addDense("model.layers.0.input_layernorm.weight", [64])
    model.config = Model.gptqConfig(
      groupSize: groupSize, more: ", \"dynamic\": {\"-:.*layers.1.*\": {}}"
    ).replacing("\"model_type\"", with: "\"intermediate_size\": \(size), \"model_type\"")
    more(&model)
    let folder = try TemporaryFolder()
    try model.write(to: folder.path("in"))
    return Sample(folder: folder)
  }

  @Test(arguments: ["gptq", "gptq_v2", "awq", "dense"]) func blockIsUnchanged(to: String) throws {
    let sample = try Self.model()
    let result = try Converted(sample.path, to: to) { $0.padForRanks = 4 }
    #expect(result.plan.padding?.new == 128)
    #expect(result.output.config.model?.object["intermediate_size"] == 128)
    let bias = try #require(result.output.tensors["model.layers.0.mlp.up_proj.bias"])
    #expect(bias.shape == [128])
    #expect(result.report.carriedTensors == 2)
    // Dense weights are rounded once, padded or not.
    let plain = try Converted(sample.path, to: to)
    let before = try Block(plain.output)
    #expect(before.gate.count == 96 * 64)
    let after = try Block(result.output)
    #expect(after.gate.count == 128 * 64)
    for seed in 0..<4 {
      let input = (0..<64).map { Float(($0 * 37 + seed * 11) % 23) / 16 - 0.6 }
      let outputs = (before.output(of: input), after.output(of: input))
      #expect(outputs.0.contains { $0 != 0 })
      #expect(outputs.0 == outputs.1)
    }
  }

  @Test func ranksGetWholeGroups() throws {
    let sample = try Self.model()
    let result = try Converted(sample.path, to: "gptq") { $0.padForRanks = 4 }
    let layer = try #require(result.output.layer(named: "model.layers.0.mlp.down_proj"))
    #expect(layer.columns / 4 % layer.groupSize == 0)
    let vllm = try #require(Runtime.named("vllm"))
    for (checkpoint, isBroken) in [(result.source, true), (result.output, false)] {
      let review = try RuntimeReview(of: checkpoint, for: [vllm], ranks: [4], threads: 1)
      #expect(review.verdicts[0].findings.contains { $0.failure.rule == "VLLM-10" } == isBroken)
    }
    #expect(result.plan.notes.contains { $0.contains("96 padded with zeros to 128") })
  }

  @Test func denseWeightsArePaddedToo() throws {
    let sample = try Self.model { model in
      model.addDense("model.layers.1.mlp.gate_proj.weight", [96, 64])
      model.addDense("model.layers.1.mlp.up_proj.weight", [96, 64])
      model.addDense("model.layers.1.mlp.down_proj.weight", [64, 96])
    }
    let result = try Converted(sample.path, to: "gptq") { $0.padForRanks = 4 }
    let down = try #require(result.output.tensors["model.layers.1.mlp.down_proj.weight"])
    let source = try #require(result.source.tensors["model.layers.1.mlp.down_proj.weight"])
    #expect(down.shape == [64, 128])
    let new = try Self.bytes(of: down)
    let old = try Self.bytes(of: source)
    for row in 0..<64 {
      #expect(new[row * 256..<row * 256 + 192] == old[row * 192..<(row + 1) * 192])
      #expect(new[row * 256 + 192..<(row + 1) * 256].allSatisfy { $0 == 0 })
    }
  }

  private static func bytes(of tensor: Tensor) throws -> [UInt8] {
    try tensor.source.contents(tensor.offset..<tensor.offset + tensor.byteCount)
  }

  @Test func nothingToPadIsSaid() throws {
    let sample = try Self.model(128)
    let result = try Converted(sample.path, to: "gptq") { $0.padForRanks = 2 }
    #expect(result.plan.notes.contains { $0.hasPrefix("nothing to pad") })
    #expect(result.report.layers.map(\.codes) == [8192, 8192, 8192])
  }

  private func expectRefused(_ path: String, _ rule: String, ranks: Int = 4) throws {
    var options = try ConversionOptions(target: "gptq")
    options.padForRanks = ranks
    let source = try Checkpoint(opening: path)
    let failure = try #require(throws: Failure.self) { try ConversionPlan(source, options) }
    #expect(failure.kind == .cannotRepresent)
    #expect(failure.rule == rule, "\(failure)")
  }

  struct Stranger: Sendable {
    let rule: String
    let change: @Sendable (inout Model) -> Void
  }

  private static let strangers: [Stranger] = [
    Stranger(rule: "PAD-1") { $0.addDense("model.layers.1.mlp.down_proj.weight", [64, 96]) },
    Stranger(rule: "PAD-1") {
      $0.addDense("model.layers.1.mlp.gate_proj.weight", [32, 64])
      $0.addDense("model.layers.1.mlp.down_proj.weight", [64, 32])
    },
    Stranger(rule: "PAD-2") {
      $0.config = $0.config?.replacing("intermediate_size", with: "intermediate")
    },
    Stranger(rule: "PAD-3") { $0.addDense("model.layers.0.mlp.act.scales", [96]) },
    Stranger(rule: "PAD-3") { $0.addDense("model.layers.0.mlp.gate_up_proj.weight", [192, 64]) },
  ]

  @Test(arguments: strangers) func unknownPartsAreRefused(stranger: Stranger) throws {
    let sample = try Self.model(more: stranger.change)
    try expectRefused(sample.path, stranger.rule)
  }

  @Test func attentionAloneIsRefused() throws {
    var model = Model()
    model.addGPTQ("model.layers.0.self_attn.o_proj")
    model.config = Model.gptqConfig()
    let folder = try TemporaryFolder()
    try model.write(to: folder.path("in"))
    try expectRefused(folder.path("in"), "PAD-1")
  }

  @Test func wholeRowsAndHugeRanksAreRefused() throws {
    let rows = try Self.model(groupSize: -1)
    try expectRefused(rows.path, "PAD-4", ranks: 2)
    let sample = try Self.model()
    try expectRefused(sample.path, "PAD-4", ranks: .max / 4)
  }
}

/// An MLP in float32, summed in order.
private struct Block {
  let gate: [Float]
  let up: [Float]
  let down: [Float]
  let biases: [[Float]]

  init(_ checkpoint: Checkpoint) throws {
    gate = try Self.weights("gate_proj", of: checkpoint)
    up = try Self.weights("up_proj", of: checkpoint)
    down = try Self.weights("down_proj", of: checkpoint)
    biases = try ["gate_proj", "up_proj", "down_proj"].map {
      try Self.floats(checkpoint.tensors["model.layers.0.mlp.\($0).bias"])
    }
  }

  private static func weights(_ name: String, of checkpoint: Checkpoint) throws -> [Float] {
    let module = "model.layers.0.mlp." + name
    guard let claim = checkpoint.layer(named: module) else {
      return try floats(checkpoint.tensors[module + ".weight"])
    }
    return try QuantizedMatrix(checkpoint.open(claim)).dequantized()
  }

  private static func floats(_ tensor: Tensor?) throws -> [Float] {
    let tensor = try #require(tensor)
    let bytes = try tensor.source.contents(tensor.offset..<tensor.offset + tensor.byteCount)
    return (0..<tensor.shape.count).map { index in
      let half = UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8
      return tensor.dtype == .bf16
        ? Float(bitPattern: UInt32(half) << 16) : Float(Float16(bitPattern: half))
    }
  }

  func output(of input: [Float]) -> [Float] {
    let gated = zip(product(gate, input, biases[0]), product(up, input, biases[1])).map { pair in
      max(pair.0, 0) * pair.1
    }
    return product(down, gated, biases[2])
  }

  private func product(_ weights: [Float], _ input: [Float], _ bias: [Float]) -> [Float] {
    bias.indices.map { row in
      input.indices.reduce(bias[row]) { $0 + weights[row * input.count + $1] * input[$1] }
    }
  }
}

extension Model {
  /// A 4-bit version 1 layer, all of whose numbers depend on `seed`.
  mutating func addPacked(_ name: String, rows: Int, columns: Int, groupSize: Int, seed: Int) {
    let size = groupSize == -1 ? columns : groupSize
    let groups = columns / size
    let codes = Self.noise(columns * rows / 2, seed)
    let fields = Self.noise(groups * rows / 2, seed + 1).map { $0 & 0x77 }
    add("\(name).qweight", .i32, [columns / 8, rows], codes)
    // Fields up to 7, so that version 1 has nothing to wonder about.
    add("\(name).qzeros", .i32, [groups, rows / 8], fields)
    add(
      "\(name).scales", .f16, [groups, rows],
      (0..<groups * rows).flatMap { [UInt8(truncatingIfNeeded: $0 * 7 + seed), 0x24] })
    let index = (0..<columns).flatMap { [UInt8($0 / size), 0, 0, 0] as [UInt8] }
    add("\(name).g_idx", .i32, [columns], index)
  }
  private static func noise(_ count: Int, _ seed: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: ($0 * 13 + seed) * 167 >> 3) }
  }
}
