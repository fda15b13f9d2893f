import ArgumentParser
import Checkpoints

struct Pack: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Pack a model into one smaller file, every byte of it checked.",
    discussion: """
      All files of the folder go in, hidden folders left out. Streams of one kind (exponents, codes, \
      scales) are compressed apart, what does not shrink stays as it is. The container is read \
      back and compared before it takes its name. Every verb reads it as it reads the folder.
      """)

  @Argument(help: "The source: a checkpoint folder, a .safetensors file, an index or a container.")
  var source: String

  @Option(name: .shortAndLong, help: "The container to write, such as model.pquant.")
  var output: String?

  @Option(help: "How hard to look for repetitions, 1 to 22; from 10 on everything is tried.")
  var level = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Compress and count, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace an existing container at the output.")
  var force = false

  @Flag(help: "Do not wait for the disk: faster, unsafe if the machine loses power.")
  var noSync = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard dryRun || output != nil else { throw ValidationError("-o names the file to write") }
    guard threads > 0 else { throw ValidationError("--threads takes a positive number") }
    guard (1...22).contains(level) else { throw ValidationError("--level takes 1 to 22") }
  }

  func run() throws {
    var options = PackPlan.Options()
    options.level = level
    options.threads = threads
    options.sync = !noSync
    options.force = force
    let plan = try PackPlan(source, options)
    let line = ProgressLine()
    let progress: PackPlan.Progress = { stage, done, total in
      line.update(stage == .writing ? "packing" : "proving", done, total)
    }
    let report =
      dryRun
      ? try plan.measure(progress: progress)
      : try plan.write(to: output ?? "", progress: progress)
    Terminal.print(json ? report.json.text(indent: 2) : Self.text(report))
    if !json && Terminal.showsProgress { Terminal.complain(Self.speed(report)) }
  }

  static func text(_ report: PackReport) -> String {
    let directory = report.directory
    var lines = report.notes.map { "note: \($0.escapedForDisplay)" }
    lines += report.raw.map {
      "raw: \($0.name.escapedForDisplay): \($0.reason.escapedForDisplay)"
    }
    let name = report.path.map { "\($0.escapedForDisplay): " } ?? "nothing was written: "
    let layers =
      directory.layers.isEmpty
      ? "" : ", \(Words.plural(directory.layers.count, "layer")) in neutral terms"
    lines.append(
      "\(name)\(Words.plural(directory.files.count, "file"))\(layers), "
        + "\(Words.bytes(directory.byteCount)) in \(Words.bytes(report.byteCount)), "
        + "ratio \(Words.fixed(report.ratio, 4))"
        + (report.path == nil ? "" : ", read back and compared"))
    return lines.joined(separator: "\n")
  }

  /// Times are for people at a terminal: output that is compared must not change.
  private static func speed(_ report: PackReport) -> String {
    let bytes = report.directory.byteCount
    let proof =
      report.path == nil ? "" : ", proved at \(Words.rate(bytes, report.seconds.proving))"
    return "packed at \(Words.rate(bytes, report.seconds.writing))\(proof)"
  }
}
