import Checkpoints
import Kernels
import Models
import TensorCore
import TestKit
import Testing

/// Tiny random checkpoints of every family beside the logits of transformers
/// (`Tests/peers/make_models.py`).
@Suite struct ModelTests {
  static let cases = ((try? Fixtures.paths(in: "models")) ?? []).map(\.fileName)

  @Test func thereIsAFixtureOfEveryFamily() throws {
    let names = try Self.cases.map { name in
      let checkpoint = try Checkpoint(opening: Fixtures.path("models/" + name))
      return try checkpoint.model(on: ReferenceCompute()).architecture.names[0]
    }
    #expect(Set(names) == Set(Architecture.all.map { $0.names[0] }))
  }

  @Test(arguments: cases) func logitsAreThePeers(_ name: String) throws {
    let logits = try ModelLogits(Fixtures.path("models/" + name))
    let model = try Checkpoint(opening: logits.path).model(on: ReferenceCompute())
    let ids = try logits.integers("input_ids")
    let tokens = ids.count / 2
    let found = try model.logits(ids, model.makeState(sequences: 2, capacity: tokens))
    let width = model.vocabularySize
    let count = 8 * width
    let last = Array(found.prefix(tokens * width).suffix(count) + found.suffix(count))
    let difference = try ModelLogits.difference(last, logits.floats("logits"))
    #expect(difference < 2e-4)
  }

  /// Token by token, and in parts, gives what the whole text gives.
  @Test(arguments: cases.filter { !$0.contains("dynamic") && !$0.contains("longrope") })
  func cachesChangeNothing(_ name: String) throws {
    let logits = try ModelLogits(Fixtures.path("models/" + name))
    let model = try Checkpoint(opening: logits.path).model(on: ReferenceCompute())
    let ids = Array(try logits.integers("input_ids").prefix(12))
    let whole = try model.logits(ids, model.makeState(capacity: 12))
    let state = try model.makeState(capacity: 12)
    var parts = try model.logits(Array(ids[..<7]), state)
    for id in ids[7...] { parts += try model.logits([id], state, rows: .last) }
    #expect(ModelLogits.difference(whole, parts) < 1e-5)
  }
}
