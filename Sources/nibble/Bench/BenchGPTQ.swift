import ArgumentParser
import Checkpoints

/// GPTQ's steps on one square layer, beside OpenBLAS' product of matrices on as many threads.
struct BenchGPTQ: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gptq", abstract: "Time GPTQ's steps beside OpenBLAS' rate in the same run.")

  @Option(help: "Rows and columns of the layer.")
  var size = 2048

  @Option(help: "Tokens of the Hessian.")
  var tokens = 8192

  @Option(help: "Columns of a group.")
  var groupSize = 128

  @Option(help: "Counted runs of each side.")
  var runs = 3

  @Option(help: "Threads to use.")
  var threads = Processor.cores

  /// One step: what it computes, and how much of it.
  private struct Step {
    let name: String
    let operations: Double
    let body: () throws -> Void
  }

  func run() throws {
    let weight = Matrix(rows: size, columns: size, values: drawn(size * size, seed: 1))
    let inputs = drawn(tokens * size, seed: 2)
    let steps = try blasSteps() + steps(weight, inputs)
    let seconds = try Stopwatch.alternate(runs: runs, steps.map(\.body))
    var table = Table([.left, .right, .right])
    table.add("\(size) × \(size), \(threads) threads", "ms", "G operations/s")
    for (step, times) in zip(steps, seconds) {
      let median = Stopwatch.median(times)
      table.add(
        step.name, Words.fixed(median * 1e3, 1),
        step.operations > 0 ? Words.fixed(step.operations / median / 1e9, 1) : "")
    }
    Terminal.print(table.text())
  }

  /// Sums of two, in −1 … 1, with some channels larger than others.
  private func drawn(_ count: Int, seed: UInt64) -> [Float] {
    var random = RandomBytes()
    for _ in 0..<seed { _ = random.next() }
    return (0..<count).map { index in
      let bits = random.next()
      let value = Float(bits & 0xFFFF) + Float(bits >> 16 & 0xFFFF) - 65535
      return value / 65536 * (index % size % 16 == 0 ? 4 : 1)
    }
  }

  /// Every thread multiplies matrices of its own.
  private func blasSteps() -> [Step] {
    let side = 1024
    let (a, threads) = (drawn(side * side, seed: 3), threads)
    return [
      Step(name: "sgemm 1024³ on each thread", operations: Double(threads) * 2 * 0x1p30) {
        parallelFor(threads, threads: threads) { _ in
          var target = AlignedBytes(count: side * side * 4)
          var span = target.mutableBytes
          BLAS.multiplyTransposed(
            a.rawSpan, rows: side, a.rawSpan, columns: side, depth: side, into: &span)
        }
      }
    ]
  }

  private func steps(_ weight: Matrix, _ inputs: [Float]) throws -> [Step] {
    let (n, threads) = (Double(size), threads)
    let sum = HessianSum(columns: size, name: "bench", threads: threads)
    sum.add(inputs)
    let hessian = try sum.finish()
    var settings = GPTQuantizer(UniformGrid(groupSize: groupSize))
    settings.reportsOutputError = false
    settings.factorPrecision = .double
    var single = settings
    single.factorPrecision = .single
    var reporting = settings
    reporting.reportsOutputError = true
    let factored = try settings.factor(hessian, name: "bench", threads: threads)
    let measured = try reporting.factor(hessian, name: "bench", threads: threads)
    let search = UniformGrid(groupSize: groupSize, search: RangeSearch())
    var searching = settings
    searching.grid = search
    let searched = try searching.factor(hessian, name: "bench", threads: threads)
    return [
      Step(name: "Hessian of \(tokens) tokens", operations: Double(tokens) * n * n) {
        let sum = HessianSum(columns: size, name: "bench", threads: threads)
        sum.add(inputs)
        _ = try sum.finish()
      },
      Step(name: "factor, f64", operations: n * n * n * 2 / 3) {
        _ = try settings.factor(hessian, name: "bench", threads: threads)
      },
      Step(name: "factor, f32", operations: n * n * n * 2 / 3) {
        _ = try single.factor(hessian, name: "bench", threads: threads)
      },
      Step(name: "columns", operations: n * n * n) {
        _ = try settings.quantize(weight, factored, name: "bench", threads: threads)
      },
      Step(name: "columns, with the output's error", operations: n * n * n * 2) {
        _ = try reporting.quantize(weight, measured, name: "bench", threads: threads)
      },
      Step(name: "columns, ranges searched", operations: 0) {
        _ = try searching.quantize(weight, searched, name: "bench", threads: threads)
      },
      Step(name: "round to nearest", operations: 0) {
        _ = try RTN(UniformGrid(groupSize: groupSize)).quantize(
          weight, name: "bench", threads: threads)
      },
      Step(name: "round to nearest, ranges searched", operations: 0) {
        _ = try RTN(search).quantize(weight, name: "bench", threads: threads)
      },
    ]
  }
}
