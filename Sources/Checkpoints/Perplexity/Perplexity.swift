/// The perplexity of a model on a text, and how far its predictions are from another's.
public struct Perplexity: Sendable {
  public let estimate: PerplexityEstimate
  public let windows: TextWindows
  /// Where there is another model.
  public let divergence: Divergence?
  /// Bytes of the file of logits; nil where none was asked for.
  public internal(set) var savedBytes: Int?

  /// What is known after a window.
  public struct Progress: Sendable {
    public let windows: Int
    public let allWindows: Int
    public let estimate: PerplexityEstimate
  }

  /// Scores every target of `windows`. `ids` are those of the text; each row is written to `writer`
  /// and let go. Throws what the streams throw, and `malformed` where a row holds NaN.
  init(
    of stream: any LogitStream, base: (any LogitStream)?, ids: [UInt32], windows: TextWindows,
    writer: SavedLogitsWriter?, threads: Int, progress: (Progress) throws -> Void
  ) throws {
    var estimate = PerplexityEstimate()
    var divergence = base.map { _ in Divergence() }
    let baseRows = base.map(RowFeed.init)
    for window in 0..<windows.count {
      var targets = windows.targets(window)
      while !targets.isEmpty {
        let rows = try stream.next(targets.count)
        try writer?.add(rows)
        let part = Array(ids[targets.prefix(rows.count)])
        let scores = TokenScore.scores(
          rows, base: try baseRows?.rows(rows.count), targets: part, threads: threads)
        for (index, score) in scores.enumerated() {
          guard !score.loss.isNaN, !(score.base?.loss.isNaN ?? false) else {
            throw Self.notANumber(window, targets.lowerBound + index)
          }
          estimate.add(score.loss)
          if let base = score.base { divergence?.add(score.loss, base) }
        }
        targets = targets.dropFirst(rows.count)
      }
      try progress(
        Progress(windows: window + 1, allWindows: windows.count, estimate: estimate))
    }
    self.estimate = estimate
    self.windows = windows
    self.divergence = divergence
  }

  private static func notANumber(_ window: Int, _ token: Int) -> Failure {
    Failure(
      .malformed, at: "logits", "NaN among the logits of a token",
      found: "window \(window), token \(token) of the text")
  }
}

/// Rows of a stream in the numbers that are asked for.
private final class RowFeed {
  private let stream: any LogitStream

  init(_ stream: any LogitStream) { self.stream = stream }

  func rows(_ count: Int) throws -> LogitBlock {
    let first = try stream.next(count)
    guard first.count < count else { return first }
    var values = first.values
    while values.count < count * first.vocabularySize {
      let missing = count - values.count / first.vocabularySize
      values += try stream.next(missing).values
    }
    return LogitBlock(values, vocabularySize: first.vocabularySize)
  }
}

extension Perplexity {
  /// For `--json`.
  public var json: JSON {
    var object = JSONObject([
      "perplexity": .real(estimate.perplexity), "standard_error": .real(estimate.error),
      "mean_loss": .real(estimate.meanLoss), "tokens": .integer(estimate.tokens),
      "windows": .integer(windows.count), "context": .integer(windows.context),
    ])
    if let stride = windows.stride { object["stride"] = .integer(stride) }
    if let savedBytes { object["saved_logits_bytes"] = .integer(savedBytes) }
    if let divergence { object["against"] = divergence.json }
    return .object(object)
  }
}

extension Divergence {
  /// For `--json`: numbers with their standard deviations, quantiles by name.
  public var json: JSON {
    func pair(_ estimate: Estimate) -> JSON {
      .object(
        JSONObject(["value": .real(estimate.value), "standard_error": .real(estimate.error)]))
    }
    func list(_ quantiles: [(name: String, value: Double)]) -> JSON {
      var object = JSONObject()
      for quantile in quantiles { object[quantile.name] = .real(quantile.value) }
      return .object(object)
    }
    let object = JSONObject([
      "perplexity": pair(Estimate(value: basePerplexity, error: baseError)),
      "ln_perplexity_ratio": pair(logRatio), "perplexity_ratio": pair(ratio),
      "perplexity_difference": pair(difference),
      "ln_perplexity_correlation": correlation.map(JSON.real) ?? .null,
      "kl_divergence": pair(meanDivergence),
      "kl_divergence_quantiles": list(divergenceQuantiles),
      "probability_change": pair(meanGain),
      "probability_change_quantiles": list(gainQuantiles),
      "probability_change_rms": pair(rootMeanSquareGain), "same_top_1": pair(sameTop),
    ])
    return .object(object)
  }
}
