import ArgumentParser
import Checkpoints
import Glibc

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure against the limits of this machine in the same run.", shouldDisplay: false,
    subcommands: [
      BenchKernels.self, BenchCodecs.self, BenchOpen.self, BenchConvert.self, BenchPack.self,
      BenchQuantize.self, BenchQuantiles.self, BenchGPTQ.self, BenchAWQ.self, BenchTokenize.self,
      BenchCheckpoint.self, BenchModel.self, BenchPipeline.self, BenchLinear.self, BenchDecode.self,
    ])
}

/// Timings of alternating runs, so that a drift of the machine touches all sides alike.
struct Stopwatch {
  /// What is measured: the time that passes, or the time this thread computes, which another process
  /// on the core does not lengthen; of `process` all its threads.
  enum Clock {
    case wall, thread, process

    private var id: clockid_t {
      switch self {
      case .wall: CLOCK_MONOTONIC
      case .thread: CLOCK_THREAD_CPUTIME_ID
      case .process: CLOCK_PROCESS_CPUTIME_ID
      }
    }

    /// Seconds since some instant.
    var now: Double {
      var time = timespec()
      // SAFETY: the structure is a local variable.
      unsafe clock_gettime(id, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
  }

  /// Runs every body `runs` times in turn after one warm-up each; seconds, run by run.
  static func alternate(
    runs: Int, clock: Clock = .wall, _ bodies: [() throws -> Void]
  ) throws -> [[Double]] {
    var seconds = bodies.map { _ in [Double]() }
    for run in 0...runs {
      for (index, body) in bodies.enumerated() {
        let start = clock.now
        try body()
        if run > 0 { seconds[index].append(clock.now - start) }
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
