import ArgumentParser
import Checkpoints

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check a checkpoint against the rules of its formats.")

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
      let verdict = result.isClean ? "obeys its formats" : "breaks rules of its formats"
      let counts = result.checks.map { "  \($0.count) \($0.what)" }.joined(separator: "\n")
      let zeros = result.zeroPoints.map { "\n  zero points: \($0.summary)" } ?? ""
      Terminal.print("\(path.escapedForDisplay) \(verdict); looked at\n\(counts)\(zeros)")
    }
    if let kind = result.failure { throw Exit.Silently(kind: kind) }
  }
}
