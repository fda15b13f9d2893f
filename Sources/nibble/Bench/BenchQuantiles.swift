import ArgumentParser
import Checkpoints

/// Quantiles beside one pass over the same values, and beside sorting them.
struct BenchQuantiles: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantiles", abstract: "Time 256 quantiles beside a sort of the same values.")

  @Option(help: "Values.")
  var count = 1 << 24

  @Option(help: "Counted runs of each side.")
  var runs = 5

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  @Flag(help: "Leave the sort out.")
  var noSort = false

  func run() throws {
    var random = RandomBytes()
    // Near enough to a normal distribution: sums of four.
    let values = (0..<count).map { _ in
      let bits = random.next()
      return (0..<4).reduce(Float(0)) { $0 + Float(bits >> ($1 * 16) & 0xFFFF) - 32767.5 }
    }
    let sides = sides(values)
    let seconds = try Stopwatch.alternate(runs: runs, sides.map(\.body))
    var table = Table([.left, .right, .right])
    table.add("256 quantiles of \(Words.count(count)) values", "ms", "of the last")
    for (side, times) in zip(sides, seconds) {
      table.add(
        side.name, Words.fixed(Stopwatch.median(times) * 1e3, 1),
        Words.fixed(Stopwatch.ratio(seconds[seconds.count - 1], to: times), 1))
    }
    Terminal.print(table.text())
  }

  private func sides(_ values: [Float]) -> [(name: String, body: () throws -> Void)] {
    let threads = threads
    let sides: [(name: String, body: () throws -> Void)] = [
      ("statistics, one thread", { precondition(FloatStatistics(values.rawSpan).sum.isFinite) }),
      (
        "by blocks, \(threads) threads",
        { _ = try Quantiles.estimate(values.rawSpan, by: .blocks, threads: threads) }
      ),
      (
        "exact, \(threads) threads",
        { _ = try Quantiles.estimate(values.rawSpan, by: .exact, threads: threads) }
      ),
      ("sorted (Swift)", { precondition(values.sorted()[values.count / 2].isFinite) }),
    ]
    return noSort ? sides.dropLast() : sides
  }
}
