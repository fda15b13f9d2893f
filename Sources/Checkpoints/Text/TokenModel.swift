public import Models

/// What predicts the next token: as much of a model as text and perplexity need.
public protocol TokenModel: Sendable {
  var vocabularySize: Int { get }
  /// Positions that the model was made for; nil: as many as memory holds.
  var maximumPositions: Int? { get }
  /// A place for `sequences` texts of up to `capacity` tokens each.
  func makeContext(sequences: Int, capacity: Int) throws -> any TokenContext
}

/// Texts that a model has read so far. For one thread at a time.
public protocol TokenContext: AnyObject {
  /// Reads the next tokens of each sequence, `[sequences][tokens]`; gives the logits that are asked for:
  /// none, of the last token of each sequence `[sequences][vocabulary]`, or of all
  /// `[sequences][tokens][vocabulary]`.
  func read(_ ids: [Int32], _ wanted: LogitRows) throws -> [Float]
}

extension TokenModel {
  /// Throws `usage` for ids that no token of the model has, and for more tokens than it has positions.
  func check(_ ids: some Collection<UInt32>, capacity: Int) throws {
    guard !ids.isEmpty else { throw Failure(.usage, at: "input", "there is no token in it") }
    if let most = maximumPositions, capacity > most {
      throw Failure(
        .usage, at: "input", "more tokens than the model has positions",
        expected: "at most \(most)",
        found: "\(capacity)")
    }
    if let id = ids.first(where: { $0 >= vocabularySize }) {
      throw Failure(
        .usage, at: "input", "an id outside of the model's vocabulary",
        expected: "below \(vocabularySize)", found: "\(id)")
    }
  }
}

extension TokenContext {
  /// Tokens that are read at once: enough for the speed of large products, little memory.
  static var partTokens: Int { 512 }

  /// Reads a text of one sequence in parts; gives the logits of its last token.
  func readPrompt(_ ids: [UInt32]) throws -> [Float] {
    var logits: [Float] = []
    var index = 0
    while index < ids.count {
      let end = min(index + Self.partTokens, ids.count)
      logits = try read(ids[index..<end].map(Int32.init), end == ids.count ? .last : .none)
      index = end
    }
    return logits
  }
}
