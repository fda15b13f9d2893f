import Codecs
import Kernels
import Models
import TensorCore
import TestKit
import Testing

@testable import Checkpoints

/// Orders of inputs that a layout has no place for are moved into the outputs that make them: the same
/// function, no number changed. What can't be moved is refused, or written dense, or rounded anew.
@Suite struct OrderFoldingTests {
  private static let ids: [Int32] = [3, 9, 21, 40, 7, 7, 1, 30, 2, 47, 11, 5]

  /// Outputs of every block on the same inputs, and the logits.
  private static func outputs(_ checkpoint: Checkpoint) throws -> (
    blocks: [[Float]], logits: [Float]
  ) {
    let model = try checkpoint.model(on: ReferenceCompute())
    var runs = try model.embed(windows: [ids], batch: 1)
    var blocks: [[Float]] = []
    for index in 0..<model.blockCount {
      runs = try CalibrationBlock(model.block(index), inputs: runs).outputs()
      blocks.append(runs.flatMap(\.values))
    }
    return (blocks, try model.logits(ids, model.makeState(capacity: ids.count)))
  }

  /// The largest difference, relative to the largest number.
  private static func difference(_ left: [Float], _ right: [Float]) -> Float {
    ModelLogits.difference(left, right) / max(left.reduce(0) { max($0, $1.magnitude) }, 1e-9)
  }

  private static func expectSameFunction(_ result: Converted) throws {
    let before = try outputs(result.source)
    let after = try outputs(result.output)
    for (left, right) in zip(before.blocks, after.blocks) {
      #expect(difference(left, right) < 1e-5)
    }
    #expect(before.blocks.count == after.blocks.count && !before.blocks.isEmpty)
    #expect(difference(before.logits, after.logits) < 1e-5)
  }

  private static func permuted(_ checkpoint: Checkpoint) throws -> Set<String> {
    Set(
      try checkpoint.layers.filter { try checkpoint.open($0).form.grouping.isPermuted }
        .map(\.name))
  }

  @Test(arguments: [
    ("llama", 2), ("llama-bias-tied", 2), ("opt", 2), ("opt-post-norm", 2), ("phi3", 2),
    ("gemma3", 3),
    ("mixtral", 8), ("gpt2", 2),
  ])
  func innerOrdersAreFolded(_ name: String, count: Int) throws {
    let model = try ActOrderModel(name)
    let result = try Converted(model.inner, to: "awq")
    let permuted = try Self.permuted(result.source)
    #expect(permuted.count == count)
    #expect(Set(result.plan.folding.folds.map(\.linear)) == permuted)
    #expect(result.report.isLossless && result.plan.rest.isEmpty)
    #expect(result.output.findings.isEmpty, "\(result.output.findings.map(\.failure))")
    #expect(result.output.layers.count == result.source.layers.count)
    try Laws.expectPredicted(result)
    try Self.expectSameFunction(result)
  }

  @Test(arguments: ["mlx", "awq_gemv", "awq_gemv_fast", "awq"], [true, false])
  func everyLayoutWithoutAnIndex(target: String, symmetric: Bool) throws {
    let model = try ActOrderModel(groupSize: 32, symmetric: symmetric)
    let result = try Converted(model.inner, to: target)
    #expect(try Self.permuted(result.output).isEmpty)
    #expect(result.plan.folding.folds.count == TinyModel.blocks)
    #expect(result.report.isLossless)
    // GEMV_FAST rounds the product of scale and zero point, which is another weight.
    if target != "awq_gemv_fast" || symmetric { try Self.expectSameFunction(result) }
  }

  /// What GPTQ itself makes: orders of all layers, of which those inside are moved.
  @Test func quantizedModelsKeepTheirFunction() throws {
    let folder = try TemporaryFolder()
    try ActOrderModel.quantized(to: folder.path("gptq"))
    let result = try Converted(folder.path("gptq"), to: "mlx") { $0.restType = .f32 }
    #expect(try Self.permuted(result.source).count == TinyModel.blocks * TinyModel.linears)
    #expect(result.plan.folding.folds.count == TinyModel.blocks)
    #expect(result.output.layers.count == TinyModel.blocks)
    try Self.expectSameFunction(result)
  }

  /// Code by code, by an order that is found here.
  @Test func numbersOnlyMove() throws {
    let model = try ActOrderModel(groupSize: 32)
    let result = try Converted(model.inner, to: "awq")
    let path = "model.layers.1.mlp."
    func matrix(_ name: String, _ checkpoint: Checkpoint) throws -> QuantizedMatrix {
      try QuantizedMatrix(checkpoint.open(#require(checkpoint.layer(named: path + name))))
    }
    let down = (try matrix("down_proj", result.source), try matrix("down_proj", result.output))
    let groups = (0..<128).map { down.0.form.grouping.group(ofColumn: $0) }
    let order = (0..<128).sorted { (groups[$0], $0) < (groups[$1], $1) }
    #expect(order != Array(0..<128))
    #expect(down.1.form.grouping == .columns(size: 32))
    #expect(down.0.scales == down.1.scales && down.0.zeros == down.1.zeros)
    for row in 0..<64 {
      for (place, column) in order.enumerated() {
        #expect(down.1.codes[row * 128 + place] == down.0.codes[row * 128 + column])
      }
    }
    for name in ["gate_proj", "up_proj"] {
      let (before, after) = (try matrix(name, result.source), try matrix(name, result.output))
      for (place, row) in order.enumerated() {
        #expect(
          after.codes[place * 64..<(place + 1) * 64] == before.codes[row * 64..<(row + 1) * 64])
        #expect(after.scales[place * 2..<place * 2 + 2] == before.scales[row * 2..<row * 2 + 2])
      }
    }
    let index = result.report.fates.first { $0.name == path + "down_proj.g_idx" }
    guard case .dropped(let reason) = index?.fate else {
      Issue.record("what has become of the order?")
      return
    }
    #expect(reason.contains("outputs that make them"))
    let comparison = try CheckpointComparison(result.source, result.output)
    #expect(!comparison.isEqual)
  }

  /// The proof puts the output back into the source's order; a wrong order is seen.
  @Test func wrongOrdersAreSeen() throws {
    let model = try ActOrderModel(groupSize: 32)
    let result = try Converted(model.inner, to: "awq")
    let name = "model.layers.0.mlp.down_proj"
    let source = try result.source.open(#require(result.source.layer(named: name)))
    let output = try result.output.open(#require(result.output.layer(named: name)))
    let restored = result.plan.folding.restored(output)
    let right = try LayerComparer(pairs: [(source, restored)], threads: 1).run()
    #expect(right[0].isEqual && right[0].codes == 64 * 128)
    let other = try #require(result.plan.folding.folds.first { $0.linear != name })
    let wrong = ReorderedColumns(output, other.permutation.inverse)
    let missed = try LayerComparer(pairs: [(source, wrong)], threads: 1).run()
    #expect(!missed[0].isEqual)
  }

  private static func refusal(
    _ path: String, to target: String = "awq",
    _ change: (inout ConversionOptions) -> Void = { _ in }
  ) throws -> Failure {
    var options = try ConversionOptions(target: target)
    change(&options)
    let source = try Checkpoint(opening: path)
    let failure = try #require(throws: Failure.self) { try ConversionPlan(source, options) }
    #expect(failure.kind == .cannotRepresent)
    return failure
  }

  @Test func otherOrdersAreRefusedByName() throws {
    let model = try ActOrderModel(groupSize: 32)
    let failure = try Self.refusal(model.all)
    #expect(failure.reasons.count == 2)
    #expect(failure.reasons.reduce(0) { $0 + $1.names.count } == TinyModel.blocks * 6)
    #expect(!failure.reasons.contains { $0.names.contains { $0.hasSuffix("down_proj") } })
    let heads = try #require(failure.reasons.first { $0.text.contains("attention heads") })
    #expect(heads.names.count == TinyModel.blocks)
    let remedy = try #require(failure.remedy)
    for word in ["--rest dense", "--allow-requantize", "--to gptq"] {
      #expect(remedy.contains(word), "\(remedy)")
    }
    let unfolded = try Self.refusal(model.inner) { $0.foldsOrders = false }
    #expect(unfolded.reasons.count == 1 && unfolded.reasons[0].text.contains("--no-fold"))
    #expect(unfolded.reasons[0].names.count == TinyModel.blocks)
    #expect(unfolded.reasons[0].names.allSatisfy { $0.hasSuffix("down_proj") })
    // Layouts with an index are not touched.
    let kept = try Converted(model.all, to: "compressed-tensors")
    #expect(kept.plan.folding.folds.isEmpty && kept.report.isLossless)
  }

  /// Orders that stay are dense, rows of the dense layers moved with the orders that don't.
  @Test(arguments: ["awq", "mlx"]) func restIsDense(target: String) throws {
    let model = try ActOrderModel(groupSize: 32)
    let result = try Converted(model.all, to: target) { $0.restType = .f32 }
    #expect(result.output.layers.count == TinyModel.blocks)
    #expect(result.output.layers.allSatisfy { $0.name.hasSuffix("down_proj") })
    #expect(result.output.findings.isEmpty, "\(result.output.findings.map(\.failure))")
    #expect(result.report.isLossless)
    try Self.expectSameFunction(result)
    let rules = try #require(result.output.config.scheme).rules()
    // Of MLX the tensors tell which modules are dense.
    #expect(target == "mlx" || rules.settings(for: "model.layers.0.mlp.gate_proj") == nil)
    #expect(rules.settings(for: "model.layers.0.mlp.down_proj") != nil)
  }

  /// What can be folded is not rounded; the others' errors are stated.
  @Test func othersAreRoundedAnew() throws {
    let model = try ActOrderModel(groupSize: 32)
    let result = try Converted(model.all, to: "awq") { $0.allowsRequantize = true }
    #expect(result.report.errors.count == TinyModel.blocks * 6)
    #expect(!result.report.errors.contains { $0.name.hasSuffix("down_proj") })
    #expect(result.report.errors.allSatisfy { $0.relative > 0 && $0.relative < 0.15 })
    let before = try Self.outputs(result.source)
    let after = try Self.outputs(result.output)
    #expect(Self.difference(before.logits, after.logits) < 0.5)
  }

  /// Dense layers before an order are stored with their rows moved, and so are biases.
  @Test func denseSourcesMoveToo() throws {
    let model = try ActOrderModel("llama-bias-tied")
    let dense = try Checkpoint(opening: Fixtures.path("models/llama-bias-tied")).tensors
    let path = model.folder.path("dense-gate")
    try model.write(
      to: path,
      more: { made in
        for block in 0..<2 {
          let name = "model.layers.\(block).mlp.gate_proj"
          made.tensors.removeAll {
            $0.info.name.hasPrefix(name + ".") && !$0.info.name.hasSuffix("bias")
          }
          guard let weight = dense[name + ".weight"], let bytes = try? Files.bytes(of: weight)
          else {
            continue
          }
          made.add(weight.name, weight.dtype, weight.shape.dimensions, bytes)
        }
      })
    let result = try Converted(path, to: "awq")
    #expect(result.plan.folding.folds.count == 2)
    let moved = result.plan.outputs.count { if case .reorder = $0.recipe { true } else { false } }
    // Two weights, and the biases of gate and up in both blocks.
    #expect(moved == 6)
    try Self.expectSameFunction(result)
    SourceFateTests.expectWhole(result.plan)
  }

  /// GPT-2's dense weights have their outputs as columns; a square one does not tell them from rows.
  @Test(arguments: [64, 16]) func denseColumnsMoveToo(inner: Int) throws {
    let folder = try TemporaryFolder()
    try Conv1DModel.write(to: folder.path("dense"), inner: inner)
    let model = try ActOrderModel(folder.path("dense"), skipping: ".*mlp.c_fc")
    let result = try Converted(model.inner, to: "awq")
    #expect(
      result.plan.folding.folds.map(\.sources) == (0..<2).map { ["transformer.h.\($0).mlp.c_fc"] })
    let moved = result.plan.outputs.count { if case .reorder = $0.recipe { true } else { false } }
    #expect(moved == 4)
    #expect(result.report.isLossless)
    try Self.expectSameFunction(result)
    SourceFateTests.expectWhole(result.plan)
  }

  /// Padding comes behind: the zeros stay last.
  @Test(arguments: ["opt", "llama-bias-tied"]) func foldedLayersArePadded(_ name: String) throws {
    let model = try ActOrderModel(name)
    let result = try Converted(model.inner, to: "awq") { $0.padForRanks = 2 }
    #expect(result.plan.padding.map { $0.new > $0.old } == true)
    #expect(result.plan.folding.folds.count == 2)
    try Self.expectSameFunction(result)
  }

  @Test func unknownModelsAreNotFolded() throws {
    let model = try ActOrderModel(groupSize: 32)
    let strange = model.folder.path("strange")
    try model.write(
      to: strange, config: model.config.replacing("LlamaForCausalLM", with: "BlamaForCausalLM"))
    let failure = try Self.refusal(strange)
    #expect(failure.reasons.map(\.names.count) == [TinyModel.blocks])
    #expect(failure.reasons[0].text.contains("architecture is not known (BlamaForCausalLM)"))
    let stranger = model.folder.path("stranger")
    try model.write(to: stranger, more: { $0.addDense("model.layers.1.mlp.act.scales", [128]) })
    let one = try Self.refusal(stranger)
    #expect(one.reasons.map(\.names.count) == [1])
    #expect(one.reasons[0].text.contains("model.layers.1.mlp.act.scales may see"))
  }

  /// Groups of several sizes have no place among neighbours.
  @Test func unequalGroupsAreRefused() throws {
    let model = try ActOrderModel(groupSize: 32)
    let path = model.folder.path("unequal")
    try model.write(
      to: path,
      more: { made in
        let name = "model.layers.0.mlp.down_proj.g_idx"
        guard let index = made.tensors.firstIndex(where: { $0.info.name == name }) else { return }
        let group = made.tensors[index].bytes[0]
        made.tensors[index].bytes[0] = group == 0 ? 1 : 0
      })
    let failure = try Self.refusal(path)
    #expect(failure.reasons.map(\.names.count) == [1])
    #expect(failure.reasons[0].text.contains("not all of one size"))
  }

  @Test func plansSayWhatIsFolded() throws {
    let model = try ActOrderModel("opt")
    let result = try Converted(model.inner, to: "awq")
    for json in [result.plan.json, result.report.json] {
      let folded = try #require(json["folded"]?.array)
      #expect(folded.count == 2)
      #expect(folded[0]["inputs_of"]?.string == "model.decoder.layers.0.fc2")
      #expect(folded[0]["outputs_of"]?.array?.first?.string == "model.decoder.layers.0.fc1")
    }
    let changes = result.plan.layers.filter { !$0.changes.isEmpty }
    #expect(changes.count == 4)
    #expect(changes.allSatisfy { $0.isMovedOnly })
  }
}
