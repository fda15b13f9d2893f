/// Which tokens of a text a model sees at once, and which of them it is asked to predict.
///
/// Without a stride: windows of `context` tokens that do not overlap, the rest of the text dropped,
/// every token but the first of each predicted, as the GPTQ paper has it. With one, as Hugging Face's page
/// on perplexity: windows that begin every `stride` tokens, the last one shorter, and each
/// predicts the tokens that none before it reached.
public struct TextWindows: Sendable, Equatable {
  /// Tokens of the text.
  public let tokens: Int
  public let context: Int
  public let stride: Int?
  public let count: Int

  /// Throws `usage` for a context below 2, a stride outside of 1…context, and a text without a window.
  public init(tokens: Int, context: Int, stride: Int? = nil, atMost limit: Int? = nil) throws {
    guard context >= 2 else {
      throw Failure(.usage, at: "context", "a window has at least 2 tokens", found: "\(context)")
    }
    if let stride, !(1...context).contains(stride) {
      throw Failure(
        .usage, at: "stride", "not from 1 to the context", expected: "1 … \(context)",
        found: "\(stride)")
    }
    if let limit, limit < 1 {
      throw Failure(.usage, at: "max-windows", "not from 1 on", found: "\(limit)")
    }
    guard tokens >= (stride == nil ? context : 2) else {
      throw Failure(
        .usage, at: "text", "the text is shorter than one window",
        expected: "at least \(stride == nil ? context : 2) tokens", found: "\(tokens)")
    }
    self.tokens = tokens
    self.context = context
    self.stride = stride
    let all = Self.count(tokens, context, stride)
    count = min(all, limit ?? all)
  }

  private static func count(_ tokens: Int, _ context: Int, _ stride: Int?) -> Int {
    guard let stride else { return tokens / context }
    guard tokens > context else { return 1 }
    // Where windows do not overlap, a single token that is left has nothing before it.
    let rest = stride == context && tokens % context == 1 ? 1 : 0
    return (tokens - rest - context + stride - 1) / stride + 1
  }

  /// The tokens of a window.
  public subscript(window: Int) -> Range<Int> {
    let start = window * (stride ?? context)
    return start..<min(start + context, tokens)
  }

  /// The tokens a window predicts, by their place in the text.
  public func targets(_ window: Int) -> Range<Int> {
    let range = self[window]
    let reached = window == 0 || stride == nil ? range.lowerBound : self[window - 1].upperBound
    return max(reached, range.lowerBound + 1)..<range.upperBound
  }

  /// Tokens that are predicted up to and without a window.
  public func targetCount(before window: Int) -> Int {
    guard window > 0 else { return 0 }
    let last = self[window - 1]
    let overlaps = stride.map { $0 < context } ?? false
    return last.upperBound - (overlaps ? 1 : window)
  }

  public var targetCount: Int { targetCount(before: count) }
}
