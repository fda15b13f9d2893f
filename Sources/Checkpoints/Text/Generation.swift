/// A text that a model goes on with, token by token.
public struct Generation: Sendable {
  /// Why it ended.
  public enum Ending: String, Sendable {
    case limit
    case stopToken = "stop token"
    case stopped, positions
  }

  /// What was generated, the stop token not among it.
  public let ids: [UInt32]
  public let promptTokens: Int
  public let ending: Ending
  /// Reading the prompt up to its last logits, and everything after.
  public let promptSeconds: Double
  public let seconds: Double
  /// Tokens that were read one by one after the prompt.
  public let decodedTokens: Int

  /// Tokens a second after the prompt; nil where none was read there.
  public var tokensPerSecond: Double? {
    decodedTokens > 0 && seconds > 0 ? Double(decodedTokens) / seconds : nil
  }

  /// Generates up to `limit` tokens, or to the last position of the model; `take` gets each at once and says
  /// whether to go on. Throws `usage` for a prompt that is empty, too long or of unknown ids.
  public init(
    _ model: any TokenModel, prompt: [UInt32], sampling: Sampling = .greedy, limit: Int,
    stopTokens: Set<UInt32> = [], take: (UInt32) throws -> Bool
  ) throws {
    try sampling.check()
    guard limit > 0 else {
      throw Failure(.usage, at: "max-new-tokens", "not from 1 on", found: "\(limit)")
    }
    try model.check(prompt, capacity: prompt.count)
    let (wanted, overflows) = prompt.count.addingReportingOverflow(limit)
    // The last token is not read any more.
    let capacity = min(overflows ? .max : wanted - 1, model.maximumPositions ?? .max)
    let clock = ContinuousClock()
    let start = clock.now
    let context = try model.makeContext(sequences: 1, capacity: max(capacity, prompt.count))
    var sampler = Sampler(sampling)
    var logits = try context.readPrompt(prompt)
    let read = clock.now
    var ids: [UInt32] = []
    var ending = Ending.limit
    var decoded = 0
    while true {
      let id = UInt32(try sampler.next(logits))
      if stopTokens.contains(id) {
        ending = .stopToken
        break
      }
      ids.append(id)
      guard try take(id) else {
        ending = .stopped
        break
      }
      if ids.count == limit { break }
      guard prompt.count + ids.count <= capacity else {
        ending = .positions
        break
      }
      logits = try context.read([Int32(id)], .last)
      decoded += 1
    }
    self.ids = ids
    self.ending = ending
    promptTokens = prompt.count
    decodedTokens = decoded
    promptSeconds = (read - start).seconds
    seconds = (clock.now - read).seconds
  }
}

extension Duration {
  var seconds: Double {
    let (whole, attoseconds) = components
    return Double(whole) + Double(attoseconds) * 1e-18
  }
}
