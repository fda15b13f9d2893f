import ArgumentParser
import Checkpoints
import Glibc

/// `convert` beside `cp -r` of what it writes, with and without flushing to disk.
struct BenchConvert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Time a conversion beside cp -r of its output.")

  @Argument(help: "The checkpoint to convert.")
  var source: String

  @Option(help: "The layout to write, or dense.")
  var to: String

  @Option(help: "The type of dense weights.")
  var dtype = DenseType(argument: "bf16")!

  @Option(help: "A folder for the outputs; they are removed again.")
  var scratch: String

  @Option(help: "Counted runs of each side.")
  var runs = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func run() throws {
    let checkpoint = try Checkpoint(opening: source)
    defer { for path in [reference, target] { try? FileSystem.removeFolder(path) } }
    try FileSystem.removeFolder(reference)
    _ = try convert(checkpoint, sync: false, to: reference)
    var table = Table([.left, .right, .right, .right])
    table.add("", "cp -r, s", "convert, s", "ratio")
    for sync in [true, false] {
      var writing: [Double] = []
      let seconds = try Stopwatch.alternate(
        runs: runs,
        [
          { try copy(sync: sync) },
          { writing.append(try convert(checkpoint, sync: sync, to: target)) },
        ])
      let label = sync ? "flushed to disk" : "not flushed"
      let pours = Array(writing.dropFirst())
      table.add(
        "\(label), without proof", Words.fixed(Stopwatch.median(seconds[0]), 3),
        Words.fixed(Stopwatch.median(pours), 3),
        Words.fixed(Stopwatch.ratio(pours, to: seconds[0]), 2))
      table.add(
        "\(label), proof included", Words.fixed(Stopwatch.median(seconds[0]), 3),
        Words.fixed(Stopwatch.median(seconds[1]), 3),
        Words.fixed(Stopwatch.ratio(seconds[1], to: seconds[0]), 2))
    }
    Terminal.print(table.text())
    Terminal.print("peak memory of this process \(Words.bytes(Self.peakMemory))")
  }

  private var target: String { scratch + "/nibble-bench-output" }
  /// What was converted once, for `cp` to copy.
  private var reference: String { scratch + "/nibble-bench-reference" }

  private func copy(sync: Bool) throws {
    try FileSystem.removeFolder(target)
    try Self.call(["cp", "-r", reference, target])
    guard sync else { return }
    let files = try FileSystem.names(in: target).map { target + "/" + $0 }
    try Self.call(["sync"] + files)
  }

  /// Converts, and returns the seconds until the proof began.
  private func convert(
    _ checkpoint: Checkpoint, sync: Bool, to path: String
  ) throws -> Double {
    try FileSystem.removeFolder(path)
    var options = try ConversionOptions(target: to, dtype: dtype.dtype)
    options.sync = sync
    options.threads = threads
    let start = ContinuousClock.now
    let report = try ConversionPlan(checkpoint, options).pour(to: path)
    return (report.proofBegan - start) / .seconds(1)
  }

  private static func call(_ words: [String]) throws {
    // SAFETY: the pointers are duplicated strings that outlive the call and are freed after it.
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { for index in words.indices { unsafe free(arguments[index]) } }
    var process: pid_t = 0
    let code = unsafe posix_spawnp(&process, words[0], nil, nil, &arguments, environ)
    guard code == 0 else { throw Failure(.io, at: words[0], "cannot be started") }
    var status: Int32 = 0
    guard unsafe waitpid(process, &status, 0) == process, status == 0 else {
      throw Failure(.io, at: words[0], "failed", found: "status \(status)")
    }
  }

  /// The largest resident size this process has had.
  private static var peakMemory: Int {
    var usage = rusage()
    // SAFETY: the structure is a local variable.
    guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return usage.ru_maxrss * 1024
  }
}
