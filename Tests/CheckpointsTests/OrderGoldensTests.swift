import Checkpoints
import Kernels
import TensorCore
import TestKit
import Testing

/// Peers' checkpoints with orders of inputs, where `NIBBLE_GOLDENS` names their folder: what can be moved is, the rest
/// is dense in F32, and the logits stay.
@Suite struct OrderGoldensTests {
  private static let names = [
    "gptq-llama256-w4g128-sym-desc", "ct-llamanano-w4a16-g64-actorder-group",
  ]

  @Test(arguments: names, ["awq", "awq_gemv", "awq_gemv_fast", "mlx"])
  func logitsStay(name: String, target: String) throws {
    guard let root = Fixtures.goldens else {
      print("skipped: \(name) to \(target); NIBBLE_GOLDENS names no folder")
      return
    }
    let result = try Converted(root + "/" + name, to: target) { $0.restType = .f32 }
    let moved = result.plan.folding.folds
    #expect(Set(moved.map(\.linear)) == Set(result.output.layers.map(\.name)))
    #expect(!moved.isEmpty && result.report.isLossless)
    let ids = (0..<32).map { Int32($0 * 37 % 4000) }
    let logits = try [result.source, result.output].map { checkpoint in
      let model = try checkpoint.model(on: CPUCompute())
      return try model.logits(ids, model.makeState(capacity: ids.count))
    }
    let largest = logits[0].reduce(0) { max($0, $1.magnitude) }
    let difference = ModelLogits.difference(logits[0], logits[1]) / largest
    #expect(difference < 1e-5)
    print("\(name) to \(target): \(moved.count) orders moved, logits within \(difference)")
  }
}
