import Checkpoints
import Models

/// A model whose logits are small numbers made of the tokens it has read: what it says of a token hangs
/// on all before it, and nothing else.
struct CountingModel: TokenModel {
  var vocabularySize = 29
  var maximumPositions: Int? = 200
  /// What sets one model apart from another.
  var salt = 1
  /// The token after which logits are NaN; nil: none.
  var broken: Int32?

  func makeContext(sequences: Int, capacity: Int) throws -> any TokenContext {
    Context(model: self, sequences: sequences, capacity: capacity)
  }

  final class Context: TokenContext {
    let model: CountingModel
    let capacity: Int
    var states: [Int]
    var read = 0

    init(model: CountingModel, sequences: Int, capacity: Int) {
      self.model = model
      self.capacity = capacity
      states = [Int](repeating: model.salt, count: sequences)
    }

    func read(_ ids: [Int32], _ wanted: LogitRows) throws -> [Float] {
      let tokens = ids.count / states.count
      read += tokens
      guard read <= capacity else { throw Failure(.internal, at: "test", "capacity") }
      var logits: [Float] = []
      for sequence in states.indices {
        for token in 0..<tokens {
          let id = ids[sequence * tokens + token]
          states[sequence] = (states[sequence] * 31 + Int(id) + model.salt) % 10_007
          guard wanted == .all || wanted == .last && token == tokens - 1 else { continue }
          logits += (0..<model.vocabularySize).map {
            id == model.broken ? .nan : Float((states[sequence] * ($0 + 3)) % 101) / 16
          }
        }
      }
      return logits
    }
  }
}
