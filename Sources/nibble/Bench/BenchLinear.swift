import ArgumentParser
import Checkpoints

/// Linear layers of a device beside OpenBLAS on the same shapes in the same run: prefill as
/// multiplications per second, decoding as bytes of weights per second beside a read of as many.
struct BenchLinear: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "linear", abstract: "Time linear layers beside sgemm and reading.")

  @Option(help: "Outputs of the layer.")
  var rows = 4096

  @Option(help: "Inputs of the layer.")
  var columns = 4096

  @Option(help: "Tokens of a prefill.")
  var tokens: [Int] = [32, 128, 512]

  @Option(help: "Counted runs.")
  var runs = 7

  func run() throws {
    let compute: any Compute = CPUCompute()
    var weights: [(name: String, loaded: any LoadedWeight)] = []
    for type in [DType.f32, .bf16, .f16] {
      let source = DrawnWeight(rows: rows, columns: columns, type: type, bits: nil)
      weights.append((type.rawValue, try compute.load(source, activations: .float)))
    }
    for bits in [4, 8] {
      let source = DrawnWeight(rows: rows, columns: columns, type: .f16, bits: bits)
      weights.append(("\(bits)-bit", try compute.load(source, activations: .float)))
    }
    for count in tokens { try prefill(count, weights, compute) }
    try decode(weights, compute)
    try attention(compute)
  }

  private func prefill(
    _ tokens: Int, _ weights: [(name: String, loaded: any LoadedWeight)], _ compute: any Compute
  ) throws {
    let input = try compute.makeBuffer(tokens * columns)
    let output = try compute.makeBuffer(tokens * rows)
    let dense = Sgemm(rows: rows, columns: columns, tokens: tokens)
    let seconds = try Stopwatch.alternate(
      runs: runs,
      [{ dense.run() }]
        + weights.map { weight in
          { try compute.linear(input, tokens: tokens, weight.loaded, bias: nil, into: output) }
        })
    let work = Double(tokens * rows * columns) / 1e9
    var table = Table([.left, .right, .right])
    table.add("\(rows) × \(columns), \(tokens) tokens (\(Processor.Level.best))", "G/s", "of sgemm")
    for (name, times) in zip(["sgemm"] + weights.map(\.name), seconds) {
      table.add(
        name, Words.fixed(work / Stopwatch.median(times), 1),
        Words.fixed(Stopwatch.ratio(seconds[0], to: times), 2))
    }
    Terminal.print(table.text())
  }

  private func decode(
    _ weights: [(name: String, loaded: any LoadedWeight)], _ compute: any Compute
  ) throws {
    let input = try compute.makeBuffer(columns)
    let output = try compute.makeBuffer(rows)
    let memory = HeldRead(byteCount: rows * columns * 4)
    let seconds = try Stopwatch.alternate(
      runs: runs * 4,
      [{ memory.run() }]
        + weights.map { weight in
          { try compute.linear(input, tokens: 1, weight.loaded, bias: nil, into: output) }
        })
    let counts = [memory.byteCount] + weights.map(\.loaded.byteCount)
    var table = Table([.left, .right])
    table.add("\(rows) × \(columns), 1 token", "GB/s")
    for ((name, times), count) in zip(zip(["read"] + weights.map(\.name), seconds), counts) {
      table.add(name, Words.fixed(Double(count) / Stopwatch.median(times) / 1e9, 1))
    }
    Terminal.print(table.text())
  }

  /// 32 heads of 128 on 8 heads of keys: products of queries, keys and values per second.
  private func attention(_ compute: any Compute) throws {
    var table = Table([.left, .right])
    table.add("attention, 32 heads on 8, size 128", "G/s")
    for (tokens, start) in [(512, 0), (512, 1536), (1, 2047)] {
      let shape = AttentionShape(
        tokens: tokens, start: start, capacity: 2048, heads: 32, kvHeads: 8, headSize: 128,
        scale: 0.088)
      let queries = try compute.makeBuffer(tokens * 32 * 128)
      let output = try compute.makeBuffer(tokens * 32 * 128)
      let keys = try compute.makeBuffer(2048 * 8 * 128)
      let values = try compute.makeBuffer(2048 * 8 * 128)
      let seconds = try Stopwatch.alternate(
        runs: runs,
        [{ try compute.attend(queries, keys: keys, values: values, shape, into: output) }])
      let pairs = tokens * start + tokens * (tokens + 1) / 2
      table.add(
        "\(tokens) tokens after \(start)",
        Words.fixed(Double(pairs * 2 * 32 * 128) / 1e9 / Stopwatch.median(seconds[0]), 1))
    }
    Terminal.print(table.text())
  }
}

/// OpenBLAS' product of dense f32 matrices, a run of rows for each core.
private struct Sgemm: Sendable {
  let rows: Int
  let columns: Int
  let tokens: Int
  private let weights: [Float]
  private let input: [Float]

  init(rows: Int, columns: Int, tokens: Int) {
    (self.rows, self.columns, self.tokens) = (rows, columns, tokens)
    weights = [Float](repeating: 0.5, count: rows * columns)
    input = [Float](repeating: 0.25, count: tokens * columns)
  }

  func run() {
    let part = rows.dividedRoundingUp(by: Processor.cores)
    let (input, weights) = (input, weights)
    try? parallelBands(Processor.cores) { core, workspace in
      let first = min(core * part, rows)
      let count = min(part, rows - first)
      guard count > 0 else { return }
      workspace.lend(tokens * count * 4) { output in
        BLAS.multiplyTransposed(
          input.rawSpan, rows: tokens,
          weights.rawSpan.part(first * columns * 4..<(first + count) * columns * 4),
          columns: count, depth: columns, into: &output)
      }
    }
  }
}

/// Every byte of a block read once, in parts, by all cores.
private struct HeldRead: Sendable {
  let byteCount: Int
  private let values: [Float]

  init(byteCount: Int) {
    self.byteCount = byteCount
    values = [Float](repeating: 1, count: byteCount / 4)
  }

  func run() {
    let part = (1 << 20)
    let values = values
    parallelFor(byteCount / part) { index in
      _ = Bytes.extremes(values.rawSpan.part(index * part..<(index + 1) * part))
    }
  }
}

/// A matrix of random numbers, dense or of codes with a scale for every 128.
private struct DrawnWeight: WeightSource {
  let name = "drawn"
  let rows: Int
  let columns: Int
  let denseType: DType
  let form: QuantizedForm?
  private let bytes: [UInt8]

  init(rows: Int, columns: Int, type: DType, bits: Int?) {
    (self.rows, self.columns, denseType) = (rows, columns, type)
    form = bits.map {
      QuantizedForm(
        rows: rows, columns: columns, grid: .affine(bits: $0), grouping: .columns(size: 128),
        scaleType: .f16, offset: .integer)
    }
    var random = RandomBytes()
    let mask = UInt8(1 << (bits ?? 8) - 1)
    bytes = (0..<columns).map { _ in UInt8(truncatingIfNeeded: random.next()) & mask }
  }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) {
    for index in 0..<rows.count * columns {
      weights.set((Float(bytes[index % columns]) / 256).bitPattern, at: index)
    }
  }

  func readCodes(_ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace) {
    for index in 0..<rows.count * columns { codes.set(bytes[index % columns], at: index) }
  }

  func readScales(_ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace) {
    fill(&scales, with: 0.0078125)
  }

  func readOffsets(_ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace) {
    fill(&offsets, with: 8)
  }

  private func fill(_ target: inout MutableRawSpan, with value: Float) {
    for index in 0..<target.byteCount / 4 { target.set(value.bitPattern, at: index) }
  }
}
