import ArgumentParser
import Checkpoints

struct PerplexityVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure how well a model predicts a text, and how far it is from another.",
    discussion: """
      The text is cut into windows of --context tokens that do not overlap, the rest is dropped, and every token \
      but the first of each window is predicted. With --stride windows begin every so many tokens, and \
      each predicts those that none before it reached. With --against come the Kullback–Leibler \
      divergence from another model, its quantiles, and the share of tokens where both find the same one most \
      probable.
      """)

  @Argument(help: "A model folder, dense or quantized.")
  var model: String

  @Option(help: "The text, UTF-8.")
  var text: String

  @Option(help: "Tokens of a window.")
  var context = 2048

  @Option(help: "Tokens from the beginning of a window to that of the next.")
  var stride: Int?

  @Option(help: "The most windows to take.")
  var maxWindows: Int?

  @Flag(help: "Add no special tokens to the text.")
  var noSpecialTokens = false

  @Option(help: "A tokenizer.json, or a folder with one, in place of the model's.")
  var tokenizer: String?

  @Option(help: "Save the logits in this file, 16 bits each.")
  var saveLogits: String?

  @Flag(help: "Replace an existing file of logits.")
  var force = false

  @Option(help: "Another model, or a file of saved logits, to compare with.")
  var against: String?

  @OptionGroup var running: ModelArguments

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    try running.check()
    guard context >= 2 else { throw ValidationError("--context takes a number from 2 on") }
    if let stride, !(1...context).contains(stride) {
      throw ValidationError("--stride takes a number from 1 to the context")
    }
    if let maxWindows, maxWindows < 1 {
      throw ValidationError("--max-windows takes a positive number")
    }
  }

  func run() throws {
    let path = try Tokenize.tokenizerPath(of: tokenizer ?? ModelRun.folder(model))
    let tokenizer = try Tokenizer(path: path)
    let bytes = try FileSystem.contents(of: text, limit: Tokenizer.mostTextBytes)
    let ids = try tokenizer.encode(bytes: bytes, addsSpecialTokens: !noSpecialTokens)
    var options = PerplexityOptions()
    options.context = context
    options.stride = stride
    options.maxWindows = maxWindows
    options.threads = running.threads
    options.savesTo = saveLogits
    options.force = force
    let loaded = try ModelRun.open(model, running)
    let line = RunningValue()
    let result = try Perplexity(of: loaded, ids: ids, against: try other(), options) {
      line.update($0)
    }
    Terminal.print(json ? result.json.text(indent: 2) : Self.text(result))
  }

  private func other() throws -> ComparedModel? {
    guard let against else { return nil }
    if FileSystem.kind(of: against) == .file, !against.hasSuffix(".safetensors"),
      !against.hasSuffix(".json"), !against.hasSuffix(".pquant")
    {
      return .file(against)
    }
    return .model(try ModelRun.open(against, running))
  }

  private static func text(_ result: Perplexity) -> String {
    let estimate = result.estimate
    var lines = [
      "perplexity \(Words.fixed(estimate.perplexity, 4)) ± \(Words.fixed(estimate.error, 4)): "
        + "\(Words.plural(estimate.tokens, "token")) in "
        + Words.plural(result.windows.count, "window")
    ]
    if let savedBytes = result.savedBytes {
      lines.append("saved logits: \(Words.bytes(savedBytes))")
    }
    if let divergence = result.divergence { lines.append(text(divergence)) }
    return lines.joined(separator: "\n")
  }

  private static func text(_ divergence: Divergence) -> String {
    var table = Table([.left, .right, .left])
    func add(_ name: String, _ estimate: Divergence.Estimate, factor: Double = 1, unit: String = "")
    {
      table.add(
        name, Words.fixed(estimate.value * factor, 6),
        "± \(Words.fixed(estimate.error * factor, 6))\(unit)")
    }
    table.add(
      "perplexity of the other", Words.fixed(divergence.basePerplexity, 6),
      "± \(Words.fixed(divergence.baseError, 6))")
    add("ratio of perplexities", divergence.ratio)
    add("difference of perplexities", divergence.difference)
    add("ln of the ratio", divergence.logRatio)
    table.add(
      "correlation of ln", divergence.correlation.map { Words.fixed($0, 6) } ?? "-", "")
    add("mean KL divergence", divergence.meanDivergence)
    for quantile in divergence.divergenceQuantiles {
      table.add("  \(quantile.name)", Words.fixed(quantile.value, 6), "")
    }
    add("mean change of p", divergence.meanGain, factor: 100, unit: " %")
    for quantile in divergence.gainQuantiles {
      table.add("  \(quantile.name)", Words.fixed(quantile.value * 100, 6), "%")
    }
    add("RMS change of p", divergence.rootMeanSquareGain, factor: 100, unit: " %")
    add("same most probable token", divergence.sameTop, factor: 100, unit: " %")
    return table.text()
  }
}

/// The perplexity so far: a line that changes on a terminal, elsewhere one for each tenth of the way.
private final class RunningValue {
  private var shown = 0

  func update(_ progress: Perplexity.Progress) {
    let value =
      "[\(progress.windows)/\(progress.allWindows)] \(Words.fixed(progress.estimate.perplexity, 4))"
    let isLast = progress.windows == progress.allWindows
    if Terminal.showsProgress {
      Terminal.note("\r\u{1B}[K\(isLast ? "" : value)")
    } else if progress.windows * 10 / progress.allWindows > shown || isLast {
      shown = progress.windows * 10 / progress.allWindows
      Terminal.complain(value)
    }
  }
}
