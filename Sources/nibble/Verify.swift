import ArgumentParser
import Checkpoints

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a checkpoint against the rules of its formats, its manifest, and runtimes.",
    discussion: """
      A \(Manifest.fileName) beside the tensors is checked digest by digest, and of a container every \
      checksum. With --for, says for \
      each runtime whether it loads the checkpoint, which rules are broken (Formats/runtimes.md) \
      and by which layers. Exit code 4 when rules of the formats are broken, 3 when only the \
      manifest says otherwise, 5 when a runtime refuses.
      """)

  @Argument(help: "A checkpoint folder, a .safetensors file, an index or a container.")
  var path: String

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "A runtime it is meant for: \(Runtime.all.map(\.name).joined(separator: ", ")); repeatable.",
      valueName: "runtime"))
  var runtimes: [Runtime] = []

  @Option(help: "Tensor-parallel ranks of that runtime; repeatable.")
  var tp: [Int] = []

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
    guard tp.allSatisfy({ $0 > 0 }) else { throw ValidationError("--tp takes a positive number") }
    guard tp.isEmpty || !runtimes.isEmpty else {
      throw ValidationError("--tp asks about a runtime: name it with --for")
    }
  }

  func run() throws {
    let container = try checkedContainer()
    let result = try Verification(of: path, threads: threads)
    let review = try RuntimeReview(
      of: result.checkpoint, for: runtimes, ranks: tp.isEmpty ? [1] : tp, threads: threads)
    if json {
      var object = result.json.object ?? JSONObject()
      if !runtimes.isEmpty { object["runtimes"] = review.json }
      if let container { object["container"] = container.json }
      Terminal.print(JSON.object(object).text(indent: 2))
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
      let zeros = result.zeroPoints.map { "\n  zero points: \($0.summary)" } ?? ""
      Terminal.print("\(path.escapedForDisplay) \(verdict); looked at\n\(counts)\(zeros)")
      if let container { Terminal.print("  \(text(container))") }
      for verdict in review.verdicts { Terminal.print(text(verdict, ranks: review.ranks)) }
    }
    if let kind = result.failure ?? review.failure { throw Exit.Silently(kind: kind) }
  }

  /// A damaged container ends here: nothing in it can be trusted.
  private func checkedContainer() throws -> ContainerCheck? {
    let line = ProgressLine()
    guard
      let check = try ContainerCheck(
        of: path, threads: threads, progress: { line.update("reading", $0, $1) })
    else { return nil }
    Terminal.complain(speed(check))
    guard !check.failures.isEmpty else { return check }
    if json {
      Terminal.print(JSON.object(JSONObject(["container": check.json])).text(indent: 2))
    } else {
      for failure in check.failures { Terminal.print("error: \(failure)") }
      Terminal.print("\(path.escapedForDisplay) is damaged; looked at\n  \(text(check))")
    }
    throw Exit.Silently(kind: .malformed)
  }

  private func text(_ check: ContainerCheck) -> String {
    "\(check.chunks) checksums and all digests of the container"
  }

  private func speed(_ check: ContainerCheck) -> String {
    "read and checked at \(Words.rate(check.container.directory.byteCount, check.seconds))"
  }

  private func text(_ verdict: RuntimeReview.Verdict, ranks: [Int]) -> String {
    let asked = tp.isEmpty ? "" : " (tp \(ranks.map(String.init).joined(separator: ", ")))"
    let lines = verdict.findings.map { finding in
      let label = finding.severity == .error ? Terminal.red("refused") : "warning"
      return "  \(label): \(finding.failure)".split(separator: "\n").joined(separator: "\n  ")
    }
    let unread = verdict.unread.map { ", no layer of \($0.escapedForDisplay) is read" } ?? ""
    return (["\(verdict.runtime)\(asked): \(verdict.outcome.rawValue)\(unread)"] + lines)
      .joined(separator: "\n")
  }
}
