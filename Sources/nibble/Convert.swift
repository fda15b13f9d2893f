import ArgumentParser
import Checkpoints

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a checkpoint in another layout, bit for bit, and prove it.",
    discussion: """
      Codes, zero points and scales are moved, never computed anew; everything else is carried \
      over byte for byte. What the target can't hold is refused before a byte is written. The \
      output is read back and compared with the source before it takes its name.
      """)

  @Argument(help: "The source: a checkpoint folder, a .safetensors file or an index.")
  var source: String

  @Option(help: "The layout to write: \(Codecs.writable.map(\.name).joined(separator: ", ")).")
  var to: String

  @Option(name: .shortAndLong, help: "The folder to write.")
  var output: String?

  @Flag(help: "Show what would be written, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace an existing checkpoint at the output.")
  var force = false

  @Option(help: "Tensor bytes a file may hold, such as 5GB or 500MB.")
  var maxShardSize: ByteSize = ByteSize(bytes: 5_000_000_000)

  @Option(help: "What full version 1 zero points of an unknown writer mean: word, mask or carry.")
  var assumeZeros: ZeroRule?

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
    let plan = try ConversionPlan(Checkpoint(opening: source), options)
    if dryRun { return show(plan) }
    let line = ProgressLine()
    let report = try plan.pour(to: output ?? "") { stage, done, total in
      line.update(stage == .writing ? "writing" : "proving", done, total)
    }
    Terminal.print(json ? report.json.text(indent: 2) : ConversionText.proof(report))
  }

  private var options: ConversionOptions {
    var options = ConversionOptions(target: to)
    options.assumeZeros = assumeZeros
    options.maxShardBytes = maxShardSize.bytes
    options.threads = threads
    options.sync = !noSync
    options.force = force
    return options
  }

  private func show(_ plan: ConversionPlan) {
    Terminal.print(json ? plan.json.text(indent: 2) : ConversionText.plan(plan))
  }
}

/// A number of bytes with an optional decimal unit.
struct ByteSize: ExpressibleByArgument {
  let bytes: Int

  init(bytes: Int) {
    self.bytes = bytes
  }

  init?(argument: String) {
    let text = argument.uppercased()
    let units: [(String, Int)] = [
      ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
      ("K", 1000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000), ("B", 1),
      ("", 1),
    ]
    for (suffix, factor) in units where text.hasSuffix(suffix) {
      guard let number = Int(text.dropLast(suffix.count)), number > 0,
        let bytes = number.multiplied(by: factor)
      else { return nil }
      self.bytes = bytes
      return
    }
    return nil
  }

  var defaultValueDescription: String { Words.bytes(bytes) }
}
