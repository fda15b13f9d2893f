import Checkpoints
import Codecs
import Kernels
import Models
import TensorCore
import TestKit
import Testing

/// Models with packed linear layers beside the same models with those weights written dense in F32.
@Suite struct PackedModelTests {
  /// Every family, its experts in tensors of their own: rounding takes no others.
  static let cases = ModelTests.cases.filter { !$0.hasSuffix("fused") }

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: cases, [4, 8]) func packedRunsAsDense(_ name: String, bits: Int) throws {
    let path = try quantized(name, bits: bits)
    try expectSameLogits(path)
    guard bits == 8 else { return }
    // Turned matrices and lost scales would be seen in neither of the two.
    let fixture = try ModelLogits(Fixtures.path("models/" + name))
    let ids = Array(try fixture.integers("input_ids").prefix(24))
    let found = try Self.logits(path, ids, CPUCompute()).suffix(8 * 48)
    let expected = Array(try fixture.floats("logits").prefix(8 * 48))
    let largest = expected.reduce(0) { max($0, $1.magnitude) }
    #expect(ModelLogits.difference(Array(found), expected) < 0.05 * largest)
  }

  /// FP8 experts of all in one tensor, whose slices are multiplied packed.
  @Test func fusedExpertsRunAsDense() throws {
    var random = SplitMix64(seed: 5)
    let source = try Checkpoint(opening: Fixtures.path("models/mixtral-fused"))
    var model = Model()
    for tensor in source.tensors.tensors {
      guard tensor.shape.rank == 3 else {
        model.add(tensor.name, tensor.dtype, tensor.shape.dimensions, try Files.bytes(of: tensor))
        continue
      }
      // Codes of at most 1.875.
      let codes = (0..<tensor.shape.count).map { _ in UInt8(random.next() & 0xBF) }
      model.add(tensor.name, .f8e4m3, tensor.shape.dimensions, codes)
      let scales = (0..<tensor.shape[0]).map { 0.1 + Float($0) / 32 }
      model.add(
        tensor.name + "_scale_inv", .f32, [tensor.shape[0], 1, 1], scales.rawSpan.array)
    }
    var config = try #require(source.config.model).object
    config["quantization_config"] = ["quant_method": "fp8", "weight_block_size": [128, 128]]
    model.config = JSON.object(config).text()
    let path = folder.path("fp8")
    try model.write(to: path)
    #expect(try Checkpoint(opening: path).layers.count == 2 * 2 * 4)
    try expectSameLogits(path)
    let rounded = try Self.logits(path, Self.ids, CPUCompute(), .config)
    let difference = try ModelLogits.difference(
      rounded, Self.logits(path, Self.ids, CPUCompute()))
    #expect(difference > 1e-4 && difference < 1)
  }

  /// mlx-lm stacks experts under names of its own; they are those of single tensors to the last bit.
  @Test func stackedExpertsRunAsSingleOnes() throws {
    try TinyExperts.write(to: folder.path("in"))
    let single = try quantized(folder.path("in"), format: "mlx", bits: 4, group: 32)
    let stacked = folder.path("stacked")
    try TinyExperts.stack(Checkpoint(opening: single), to: stacked)
    let checkpoint = try Checkpoint(opening: stacked)
    #expect(checkpoint.layers.contains { $0.name.hasSuffix("switch_mlp.up_proj[3]") })
    try expectSameLogits(stacked)
    #expect(
      try Self.logits(stacked, Self.ids, CPUCompute())
        == Self.logits(single, Self.ids, CPUCompute()))
  }

  private static let ids: [Int32] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8, 47]

  /// A text at once, through OpenBLAS, and token by token.
  private func expectSameLogits(_ path: String) throws {
    let dense = try Converted(path, to: "dense") { $0.target = .dense(.f32) }
    #expect(dense.output.layers.isEmpty)
    let expected = try Self.logits(dense.path, Self.ids, ReferenceCompute())
    #expect(
      try ModelLogits.difference(Self.logits(path, Self.ids, CPUCompute()), expected) < 1e-5)
    let model = try Checkpoint(opening: path).model(on: CPUCompute())
    let state = try model.makeState(capacity: Self.ids.count)
    let singly = try Self.ids.flatMap { try model.logits([$0], state) }
    #expect(ModelLogits.difference(singly, expected) < 1e-5)
  }

  private static func logits(
    _ path: String, _ ids: [Int32], _ compute: any Compute,
    _ activations: ActivationChoice = .float
  ) throws -> [Float] {
    let model = try Checkpoint(opening: path).model(on: compute, activations: activations)
    return try model.logits(ids, model.makeState(capacity: ids.count))
  }

  /// A fixture rounded to nearest.
  private func quantized(_ name: String, bits: Int) throws -> String {
    // Rows of 20 codes do not fill GPTQ's words.
    let format = name == "gpt2" ? "gptq" : "compressed-tensors"
    return try quantized(
      Fixtures.path("models/" + name), format: format, bits: bits, group: -1)
  }

  private func quantized(
    _ source: String, format: String, bits: Int, group: Int
  ) throws -> String {
    var quantization = try WeightQuantization(method: "rtn", formats: [format])
    (quantization.bits, quantization.groupSize) = (bits, group)
    quantization.symmetric = false
    var options = ConversionOptions(target: .asIs)
    options.sync = false
    let plan = try WeightPlan(Checkpoint(opening: source), quantization, options)
    _ = try plan.run(to: folder.path("packed"))
    return folder.path("packed")
  }
}

extension TinyExperts {
  /// The parts of all experts of a block behind each other, as mlx-lm names them.
  static func stack(_ source: Checkpoint, to path: String) throws {
    let names = ["w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"]
    var model = Model()
    for tensor in source.tensors.tensors {
      guard tensor.name.contains(".experts.") else {
        model.add(tensor.name, tensor.dtype, tensor.shape.dimensions, try Files.bytes(of: tensor))
        continue
      }
      guard tensor.name.contains(".experts.0.") else { continue }
      let bytes = try (0..<4).flatMap { index in
        let name = tensor.name.replacing(".experts.0.", with: ".experts.\(index).")
        return try Files.bytes(of: #require(source.tensors[name]))
      }
      var stacked = tensor.name.replacing(".experts.0.", with: ".switch_mlp.")
      for (own, other) in names {
        stacked = stacked.replacing(".switch_mlp.\(own).", with: ".switch_mlp.\(other).")
      }
      model.add(stacked, tensor.dtype, [4] + tensor.shape.dimensions, bytes)
    }
    model.config = try JSON.object(#require(source.config.model).object).text()
    try model.write(to: path)
  }
}
