import ArgumentParser
import Checkpoints

/// AWQ's searches on one square layer, beside OpenBLAS' product of matrices on as many threads.
struct BenchAWQ: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "awq", abstract: "Time AWQ's searches beside OpenBLAS' rate in the same run.")

  @Option(help: "Rows and columns of the layer.")
  var size = 2048

  @Option(help: "Tokens of the calibration.")
  var tokens = 4096

  @Option(help: "Columns of a group.")
  var groupSize = 128

  @Option(help: "Counted runs of each side.")
  var runs = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  func run() throws {
    let layer = DrawnLinear(size: size, tokens: tokens)
    let steps = searches(layer)
    let product = { sgemm(layer) }
    let seconds = try Stopwatch.alternate(runs: runs, [product] + steps.map(\.body))
    var table = Table([.left, .right, .right])
    table.add("\(size) × \(size), \(tokens) tokens, \(threads) threads", "ms", "products")
    for (name, times) in zip(["sgemm, all tokens"] + steps.map(\.name), seconds) {
      table.add(
        name, Words.fixed(Stopwatch.median(times) * 1e3, 1),
        Words.fixed(Stopwatch.ratio(times, to: seconds[0]), 2))
    }
    Terminal.print(table.text())
  }

  /// Inputs times the weight: one pass of the layer, each thread over its share of the tokens.
  private func sgemm(_ layer: DrawnLinear) {
    let (part, size) = (256, size)
    parallelFor(tokens / part, threads: threads) { index in
      var target = AlignedBytes(count: part * size * 4)
      var span = target.mutableBytes
      let width = part * size
      BLAS.multiplyTransposed(
        Array(layer.inputs[index * width..<(index + 1) * width]).rawSpan, rows: part,
        layer.matrix.values.rawSpan, columns: size, depth: size, into: &span)
    }
  }

  private func searches(
    _ layer: DrawnLinear
  ) -> [(name: String, body: () throws -> Void)] {
    let grid = AWQGrid(bits: 4, groupSize: groupSize)
    var scales = AWQ(grid, rules: .autoawq)
    scales.clip = nil
    var both = AWQ(grid)
    both.clip = nil
    var peersClip = AWQ(grid, rules: .autoawq)
    peersClip.clip = ClipSearch(tokens: 512)
    let clips = AWQ(grid, rules: .autoawq)
    let (clipped, threads) = (layer.withoutSites, threads)
    return [
      ("scales, 20 candidates", { _ = try scales.search(layer, threads: threads) }),
      ("scales, 41 candidates", { _ = try both.search(layer, threads: threads) }),
      ("clips, 512 tokens", { _ = try peersClip.search(clipped, threads: threads) }),
      ("clips, all tokens", { _ = try clips.search(clipped, threads: threads) }),
      ("clips, given the other groups", { _ = try AWQ(grid).search(clipped, threads: threads) }),
    ]
  }
}

/// One linear layer of drawn numbers whose inputs have some channels larger than others.
private struct DrawnLinear: Block {
  let matrix: Matrix
  /// f32 `[tokens][size]`.
  let inputs: [Float]
  var inputGroups: [[String]] { [["fc2"]] }
  var foldSites = [
    FoldSite(source: .linear("fc1", rows: 0..<0), linears: ["fc2"], parent: "fc2")
  ]

  init(size: Int, tokens: Int) {
    matrix = Matrix(rows: size, columns: size, values: drawn(size * size, loud: size + 1))
    inputs = drawn(tokens * size, loud: 16, width: size)
  }

  /// The layer with nothing to fold.
  var withoutSites: Self {
    var result = self
    result.foldSites = []
    return result
  }

  func weight(_ linear: String) throws -> Matrix { matrix }

  func forEachInput(of linear: String, _ body: (Int, [Float]) throws -> Void) throws {
    let run = 512 * matrix.columns
    for start in stride(from: 0, to: inputs.count, by: run) {
      let part = Array(inputs[start..<min(start + run, inputs.count)])
      try body(part.count / matrix.columns, part)
    }
  }

  func parts(of parent: String) throws -> [Range<Int>] { [] }

  func forEachOutput(
    of parent: String, in runs: Range<Int>, replacing weights: [String: Matrix],
    _ body: (Int, [Float]) throws -> Void
  ) throws {
    throw Failure(.internal, at: parent, "a linear layer is measured by its inputs alone")
  }
}

/// Sums of two, in −1 … 1; every `loud`-th channel of `width` is four times as large.
private func drawn(_ count: Int, loud: Int, width: Int = 1) -> [Float] {
  var random = RandomBytes()
  return (0..<count).map { index in
    let bits = random.next()
    let value = Float(bits & 0xFFFF) + Float(bits >> 16 & 0xFFFF) - 65535
    return value / 65536 * (index % width % loud == loud - 1 ? 4 : 1)
  }
}
