import ArgumentParser
import Checkpoints

struct Repair: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a damaged checkpoint anew, as far as it can be mended without guessing.",
    discussion: """
      Padding, bytes left over, a wrong index, empty or repeated shards are set right, each of it \
      listed with its rule. Where numbers are missing or two tensors contradict each other, \
      nothing is written. The source stays as it is; the output is opened strictly, and every \
      tensor compared with the source, before it takes its name.
      """)

  @Argument(help: "The source: a checkpoint folder, a .safetensors file or an index.")
  var source: String

  @Option(name: .shortAndLong, help: "The folder to write.")
  var output: String?

  @Flag(help: "Show what would be mended, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace an existing checkpoint at the output.")
  var force = false

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Do not wait for the disk: faster, unsafe if the machine loses power.")
  var noSync = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard dryRun || output != nil else { throw ValidationError("-o names the folder to write") }
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }

  func run() throws {
    let plan = try RepairPlan(opening: source, threads: threads)
    guard !dryRun, let output else {
      return Terminal.print(
        json ? plan.json.text(indent: 2) : text(plan.mends, "nothing was written"))
    }
    let report = try plan.pour(to: output, force: force, sync: !noSync, threads: threads)
    let proof = "\(Words.plural(report.tensors, "tensor")), all bytes equal"
    Terminal.print(
      json
        ? report.json.text(indent: 2)
        : text(report.mends, "\(output.escapedForDisplay): \(proof)"))
  }

  private func text(_ mends: [Mend], _ last: String) -> String {
    let lines = mends.isEmpty ? ["nothing to mend"] : mends.map { "mended: \($0)" }
    return (lines + [last]).joined(separator: "\n")
  }
}
