import Checkpoints
import Glibc

/// What a verb writes beside `cp -r` of the same, in turn, with and without flushing to disk.
struct CopyRace {
  let source: String
  let options: ConversionOptions
  /// A folder for the outputs; they are removed again.
  let scratch: String
  let runs: Int
  /// Whether the copying side reads the source first.
  let readsSource: Bool
  let verb: String

  func run() throws {
    let checkpoint = try Checkpoint(opening: source)
    defer { for path in [reference, target] { try? FileSystem.removeFolder(path) } }
    try FileSystem.removeFolder(reference)
    _ = try convert(checkpoint, sync: false, to: reference)
    var table = Table([.left, .right, .right, .right])
    table.add("", "\(readsSource ? "cat, " : "")cp -r, s", "\(verb), s", "ratio")
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
      add("\(label), without proof", seconds[0], pours, to: &table)
      add("\(label), proof included", seconds[0], seconds[1], to: &table)
    }
    Terminal.print(table.text())
    Terminal.print("peak memory of this process \(Words.bytes(Self.peakMemory))")
  }

  private func add(_ label: String, _ copies: [Double], _ own: [Double], to table: inout Table) {
    table.add(
      label, Words.fixed(Stopwatch.median(copies), 3), Words.fixed(Stopwatch.median(own), 3),
      Words.fixed(Stopwatch.ratio(own, to: copies), 2))
  }

  private var target: String { scratch + "/nibble-bench-output" }
  /// What was converted once, for `cp` to copy.
  private var reference: String { scratch + "/nibble-bench-reference" }

  private func copy(sync: Bool) throws {
    try FileSystem.removeFolder(target)
    if readsSource { try Self.call(["sh", "-c", "cat \"$0\"/* > /dev/null", source]) }
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
    var options = options
    options.sync = sync
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
