import ArgumentParser
import Checkpoints

struct OptimizerVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "optimizer",
    abstract: "Show the states of an optimizer, or write them in 8 or 32 bits.",
    discussion: """
      FILE is a safetensors file of states as bitsandbytes has them, named as \
      Formats/bitsandbytes-optimizer.md says. Pickles of PyTorch are recognised and refused: \
      opening one can run code.
      """)

  @Argument(help: "A safetensors file of optimizer states.")
  var file: String

  @Option(help: "Write states in 8bit or 32bit.")
  var to: OptimizerConversion.Target?

  @Option(name: .shortAndLong, help: "The file to write.")
  var output: String?

  @Option(
    name: .customLong("keep-32bit"),
    help: "Parameters whose states stay in 32 bits, such as embeddings (* and ?).")
  var keep32bit: [String] = []

  @Option(help: "Follow the peer's CUDA kernels or its CPU code where they differ: cuda or cpu.")
  var bnbRules: PeerRules = .cuda

  @Flag(help: "Replace an existing file at the output.")
  var force = false

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Do not wait for the disk: faster, unsafe if the machine loses power.")
  var noSync = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (to == nil) == (output == nil) else {
      throw ValidationError("--to and -o belong together")
    }
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }

  func run() throws {
    let states = try OptimizerStates(opening: file)
    guard let to, let output else { return try show(states) }
    let globs = keep32bit.map(Glob.init)
    let conversion = OptimizerConversion(states, to: to, rules: bnbRules) { name in
      globs.contains { $0.matches(name) }
    }
    try conversion.write(to: output, force: force, sync: !noSync, threads: threads)
    if json {
      return Terminal.print(
        JSON.object(
          JSONObject([
            "output": .string(output), "to": .string(to.rawValue),
            "converted": .strings(conversion.converted.map(\.text)),
            "kept": .strings(conversion.kept.map(\.text)),
          ])
        ).text(indent: 2))
    }
    for name in conversion.kept {
      Terminal.print("\(name.text.escapedForDisplay): stays in 32 bits")
    }
    let count = Words.plural(conversion.converted.count, "parameter")
    Terminal.print("\(output.escapedForDisplay): \(count) now in \(to.rawValue)")
  }

  private func show(_ states: OptimizerStates) throws {
    let reports = try states.entries.map { try StateReport($0) }
    if json {
      return Terminal.print(
        JSON.object(
          JSONObject([
            "path": .string(states.path), "parameters": .array(reports.map(\.json)),
            "other_tensors": .strings(states.others.map(\.name)),
          ])
        ).text(indent: 2))
    }
    var table = Table([.left, .left, .right, .right, .right, .left, .right, .right])
    table.add("parameter", "state", "values", "bits", "block", "range", "codes", "not finite")
    for report in reports {
      for figures in report.states {
        table.add(
          report.entry.name.text.escapedForDisplay, figures.key, "\(report.entry.count)",
          "\(report.entry.bits)", report.entry.block.map(String.init) ?? "",
          "\(Words.short(Double(figures.minimum))) … \(Words.short(Double(figures.maximum)))",
          figures.usedCodes.map { "\($0)/256" } ?? "", "\(figures.notFinite)")
      }
    }
    Terminal.print(table.text())
    Terminal.print("ranges are those of scales (8 bits) or values (32 bits)")
  }
}
