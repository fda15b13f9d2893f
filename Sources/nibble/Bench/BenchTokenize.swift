import ArgumentParser
import Checkpoints

/// Text to ids on one core.
struct BenchTokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Time reading a tokenizer and encoding a text.")

  @Argument(help: "A model folder or a tokenizer.json.")
  var model: String

  @Argument(help: "The text.")
  var file: String

  @Option(help: "Counted runs.")
  var runs = 5

  func run() throws {
    let path = try Tokenize.tokenizerPath(of: model)
    let text = try FileSystem.contents(of: file, limit: Tokenizer.mostTextBytes)
    let tokenizer = try Tokenizer(path: path)
    var tokens = 0
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [
        { _ = try Tokenizer(path: path) },
        { tokens = try tokenizer.encode(bytes: text).count },
      ])
    let rate = Double(text.count) / Stopwatch.median(seconds[1]) / 1e6
    let load = Words.fixed(Stopwatch.median(seconds[0]) * 1000, 1)
    Terminal.print("read  \(load) ms")
    Terminal.print("encode  \(Words.fixed(rate, 1)) MB/s  \(tokens) tokens")
  }
}
