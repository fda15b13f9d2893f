import Checkpoints

/// Quantiles beside one pass over the same values, and beside sorting them.
struct BenchQuantiles {
  let runs: Int

  private static let count = 1 << 24

  func run() throws {
    var random = RandomBytes()
    // Near enough to a normal distribution: sums of four.
    let values = (0..<Self.count).map { _ in
      (0..<4).reduce(Float(0)) { sum, _ in sum + Float(random.next() & 0xFFFF) - 32767.5 }
    }
    var sink = 0.0
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [
        { sink += FloatStatistics(values.rawSpan).sum },
        { sink += Double(try Quantiles.estimate(values.rawSpan, by: .blocks)[128]) },
        { sink += Double(try Quantiles.estimate(values.rawSpan, by: .exact)[128]) },
        { sink += Double(values.sorted()[values.count / 2]) },
      ])
    var table = Table([.left, .right, .right])
    table.add("256 quantiles of \(Words.count(Self.count)) values", "ms", "of sorting")
    let names = ["statistics, one thread", "by blocks", "exact", "sorted (Swift)"]
    for (name, times) in zip(names, seconds) {
      table.add(
        name, Words.fixed(Stopwatch.median(times) * 1e3, 1),
        Words.fixed(Stopwatch.ratio(seconds[3], to: times), 1))
    }
    Terminal.print(table.text())
    precondition(sink.isFinite)
  }
}
