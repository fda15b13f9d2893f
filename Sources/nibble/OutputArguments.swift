import ArgumentParser
import Checkpoints

/// What every verb that writes a checkpoint asks for, and how it carries a plan out.
struct OutputArguments: ParsableArguments {
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

  @Option(help: "Read GPTQ zero points as v1 or v2, whatever the config says.")
  var assume: GPTQ.Version?

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Do not wait for the disk: faster, unsafe if the machine loses power.")
  var noSync = false

  @Flag(help: "Write nibble.manifest.json too: a SHA-256 for every tensor and file.")
  var manifest = false

  @Flag(help: "Print JSON.")
  var json = false

  func check() throws {
    guard dryRun || output != nil else { throw ValidationError("-o names the folder to write") }
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
  }

  func options(_ base: ConversionOptions) -> ConversionOptions {
    var options = base
    options.assumeZeros = assumeZeros
    options.assumeVersion = assume
    options.maxShardBytes = maxShardSize.bytes
    options.threads = threads
    options.sync = !noSync
    options.force = force
    options.writesManifest = manifest
    return options
  }

  /// Shows the plans, or pours them: one into the output, several into folders inside it.
  func carryOut(_ plans: [ConversionPlan]) throws {
    for finding in plans.first?.warnings ?? [] {
      Terminal.complain("\(finding.severity.rawValue): \(finding.failure)")
    }
    if dryRun {
      for plan in plans {
        Terminal.print(json ? plan.json.text(indent: 2) : ConversionText.plan(plan))
      }
      return
    }
    let path = output ?? ""
    if plans.count > 1, FileSystem.kind(of: path) == nil { try FileSystem.makeFolder(path) }
    let outputs = plans.map { plan in
      (plan: plan, path: plans.count > 1 ? "\(path)/\(plan.options.target.name)" : path)
    }
    let line = ProgressLine()
    let reports = try ConversionPlan.pour(outputs) { stage, done, total in
      line.update(stage == .writing ? "writing" : "proving", done, total)
    }
    for report in reports {
      Terminal.print(json ? report.json.text(indent: 2) : ConversionText.report(report))
    }
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
