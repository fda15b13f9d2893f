import ArgumentParser
import Checkpoints

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure against the limits of this machine in the same run.", shouldDisplay: false,
    subcommands: [
      BenchKernels.self, BenchOpen.self, BenchConvert.self, BenchCheckpoint.self,
    ])
}

/// Timings of alternating runs, so that a drift of the machine touches all sides alike.
struct Stopwatch {
  /// Runs every body `runs` times in turn after one warm-up each; seconds, run by run.
  static func alternate(runs: Int, _ bodies: [() throws -> Void]) throws -> [[Double]] {
    var seconds = bodies.map { _ in [Double]() }
    for run in 0...runs {
      for (index, body) in bodies.enumerated() {
        let start = ContinuousClock.now
        try body()
        let elapsed = ContinuousClock.now - start
        if run > 0 { seconds[index].append(elapsed / .seconds(1)) }
      }
    }
    return seconds
  }

  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// The median of the ratios of paired runs.
  static func ratio(_ a: [Double], to b: [Double]) -> Double {
    median(zip(a, b).map { $0 / $1 })
  }
}
