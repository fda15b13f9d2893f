import ArgumentParser
import Checkpoints

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a checkpoint against the rules of its formats, and against its manifest.",
    discussion: """
      A \(Manifest.fileName) beside the tensors is checked digest by digest. Exit code 4 when rules \
      of the formats are broken, 3 when only the manifest says otherwise.
      """)

  @Argument(help: "A checkpoint folder, a .safetensors file or an index.")
  var path: String

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }

  func run() throws {
    let result = try Verification(of: path, threads: threads)
    if json {
      Terminal.print(result.json.text(indent: 2))
    } else {
      for finding in result.findings {
        Terminal.print("\(finding.severity.rawValue): \(finding.failure)")
      }
      let verdict =
        switch result.failure {
        case nil: "obeys its formats"
        case .differs: "is not what its manifest says"
        default: "breaks rules of its formats"
        }
      let counts = result.checks.map { "  \($0.count) \($0.what)" }.joined(separator: "\n")
      Terminal.print("\(path.escapedForDisplay) \(verdict); looked at\n\(counts)")
    }
    if let kind = result.failure { throw Exit.Silently(kind: kind) }
  }
}

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say whether two checkpoints hold the same numbers, layer by layer.",
    discussion: "Layouts may differ. Exit code 3 when the numbers do.")

  @Argument(help: "A checkpoint.")
  var first: String

  @Argument(help: "Another.")
  var second: String

  @Option(help: "What full version 1 zero points of an unknown writer mean: word, mask or carry.")
  var assumeZeros: ZeroRule?

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }

  func run() throws {
    let line = ProgressLine()
    let result = try CheckpointComparison(
      Checkpoint(opening: first), Checkpoint(opening: second), assume: assumeZeros,
      threads: threads
    ) { line.update("comparing", $0, $1) }
    Terminal.print(json ? result.json.text(indent: 2) : text(result))
    if !result.isEqual { throw Exit.Silently(kind: .differs) }
  }

  private func text(_ result: CheckpointComparison) -> String {
    var lines = result.layers.filter { !$0.isEqual }.map {
      "differs: \($0.name.escapedForDisplay): \($0.summary)"
    }
    lines += result.differingTensors.map { "differs: \($0.escapedForDisplay)" }
    lines += result.onlyInFirst.map { "only in the first: \($0.escapedForDisplay)" }
    lines += result.onlyInSecond.map { "only in the second: \($0.escapedForDisplay)" }
    let codes = result.layers.reduce(0) { $0 + $1.codes }
    lines.append(
      (result.isEqual ? "same numbers" : "different numbers")
        + ": \(Words.plural(result.layers.count, "layer")) with \(codes) codes and "
        + "\(Words.plural(result.denseTensors, "dense tensor")) compared")
    return lines.joined(separator: "\n")
  }
}
