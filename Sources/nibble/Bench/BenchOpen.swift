import ArgumentParser
import Checkpoints

/// Opening and inspecting, from headers alone.
struct BenchOpen: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "open", abstract: "Time opening and inspecting a checkpoint.")

  @Argument(help: "The checkpoint.")
  var path: String

  @Option(help: "Counted runs.")
  var runs = 20

  func run() throws {
    var tensors = 0
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [
        { tensors = try ShardedTensors(opening: path).tensors.count },
        { _ = try Inspection(Checkpoint(opening: path)).json },
      ])
    for (label, times) in zip(["headers", "inspect"], seconds) {
      let milliseconds = Words.fixed(Stopwatch.median(times) * 1000, 2)
      Terminal.print("\(label)  \(milliseconds) ms  \(tensors) tensors")
    }
  }
}
