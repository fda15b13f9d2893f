public import Models

extension CausalModel: TokenModel {
  public func makeContext(sequences: Int, capacity: Int) throws -> any TokenContext {
    CausalContext(self, try makeState(sequences: sequences, capacity: capacity))
  }
}

/// What a causal model has read, in its caches.
private final class CausalContext: TokenContext {
  private let model: CausalModel
  private let state: ModelState

  init(_ model: CausalModel, _ state: ModelState) {
    self.model = model
    self.state = state
  }

  func read(_ ids: [Int32], _ wanted: LogitRows) throws -> [Float] {
    try model.logits(ids, state, rows: wanted)
  }
}
