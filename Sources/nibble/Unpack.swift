import ArgumentParser
import Checkpoints

struct Unpack: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Restore what was packed, byte for byte, or write it in another layout.",
    discussion: """
      Every checksum and digest of what is restored is checked before the folder takes its name. \
      With --to the model is converted straight from the container, as by nibble convert.
      """)

  @Argument(help: "The container.")
  var source: String

  @Option(help: ArgumentHelp("Convert to this layout instead.", valueName: "layout"))
  var to: String?

  @Option(
    help: ArgumentHelp(
      "Restore only files of that path (* and ?); where no file is of it, tensors of that name, "
        + "into one model.safetensors.", valueName: "pattern"))
  var only: String?

  @OptionGroup var output: OutputArguments

  func validate() throws {
    try output.check()
    guard to == nil || only == nil else {
      throw ValidationError("--to writes whole models: leave out --only")
    }
    guard to != nil || !output.dryRun else {
      throw ValidationError("--dry-run goes with --to; nibble inspect lists what would be restored")
    }
  }

  func run() throws {
    if let to { return try convert(to: to) }
    var unpacking = try Unpacking(opening: source)
    unpacking.threads = output.threads
    unpacking.sync = !output.noSync
    unpacking.force = output.force
    let line = ProgressLine()
    let glob = only.map(Glob.init)
    let report = try unpacking.restore(
      to: output.output ?? "", progress: { line.update("unpacking", $0, $1) },
      where: { glob?.matches($0) ?? true })
    guard !output.json else { return Terminal.print(report.json.text(indent: 2)) }
    Terminal.print(
      "\(report.path.escapedForDisplay): \(Words.plural(report.files.count, "file")), "
        + "\(Words.bytes(report.byteCount)), all digests right")
    if Terminal.showsProgress {
      Terminal.complain("unpacked at \(Words.rate(report.byteCount, report.seconds))")
    }
  }

  private func convert(to name: String) throws {
    guard PackedQuant.isContainer(source) else {
      _ = try Unpacking(opening: source)
      return
    }
    let checkpoint = try Checkpoint(opening: source)
    let type = checkpoint.config.denseType ?? .bf16
    let options = output.options(try ConversionOptions(target: name, dtype: type))
    try output.carryOut([ConversionPlan(checkpoint, options)])
  }
}
