import Checkpoints

/// Products of int8 matrices beside OpenBLAS' of f32, on one core: multiplications per second.
struct BenchProducts {
  let runs: Int

  private static let columns = 768
  private static let depth = 4096

  func run() throws {
    var table = Table([.left, .right, .right, .right])
    table.add("product, \(Self.columns) × \(Self.depth)", "int8 G/s", "sgemm G/s", "ratio")
    for rows in [1, 4, 32, 288] { try add(rows, to: &table) }
    Terminal.print(table.text())
  }

  private func add(_ rows: Int, to table: inout Table) throws {
    let (columns, depth) = (Self.columns, Self.depth)
    var random = RandomBytes()
    let codes = (0..<(rows + columns) * depth).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let floats = codes.map { Float(Int8(bitPattern: $0)) }
    let a = Array(codes[..<(rows * depth)])
    let b = Array(codes[(rows * depth)...])
    let c = Array(floats[..<(rows * depth)])
    let d = Array(floats[(rows * depth)...])
    var target = AlignedBytes(count: rows * columns * 4)
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [
        {
          target.withMutableBytes(count: target.count) {
            Int8Product.multiply(
              a.rawSpan, rows: rows, b.rawSpan, columns: columns, depth: depth, into: &$0,
              threads: 1)
          }
        },
        {
          target.withMutableBytes(count: target.count) {
            BLAS.multiplyTransposed(
              c.rawSpan, rows: rows, d.rawSpan, columns: columns, depth: depth, into: &$0)
          }
        },
      ])
    let work = Double(rows * columns * depth) / 1e9
    table.add(
      "\(rows) rows (\(Processor.Level.best))", Words.fixed(work / Stopwatch.median(seconds[0]), 1),
      Words.fixed(work / Stopwatch.median(seconds[1]), 1),
      Words.fixed(Stopwatch.ratio(seconds[1], to: seconds[0]), 2))
  }
}
