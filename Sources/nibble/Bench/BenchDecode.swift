import ArgumentParser
import Checkpoints

/// One token through the linear layers of a model of random numbers: packed weights with f32 and with 8-bit
/// activations, and dense BF16, beside reading the same bytes on the same threads.
struct BenchDecode: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode", abstract: "Time products with packed weights, a token at a time.")

  @Option(help: "Width of the model.")
  var hidden = 4096

  @Option(help: "Width of the MLP.")
  var ffn = 11008

  @Option(help: "Decoder layers.")
  var layers = 4

  @Option(help: "Outputs of the head; 0 for none.")
  var vocab = 32000

  @Option(
    help: "Decoder layers of the BF16 side, whose time a layer is scaled up; 0 for none of it.")
  var denseLayers = 2

  @Option(help: "Bits of a code.")
  var bits = 4

  @Option(help: "Columns of a group.")
  var group = 128

  @Flag(help: "NF4 codes instead of affine ones with zero points.")
  var nf4 = false

  @Option(help: "Columns that share a scale of 8-bit activations; 0 for the whole token.")
  var int8Group = 32

  @Option(help: "Tokens at once.")
  var tokens = 1

  @Option(help: "Threads.")
  var threads = Processor.cores

  @Option(help: "Counted runs of each side.")
  var runs = 7

  @Flag(
    help: "Count processor time, shared out to the threads: for machines that are busy otherwise.")
  var cpuTime = false

  /// Rows and columns of one layer's matrices.
  private var shapes: [(Int, Int)] {
    [
      (hidden, hidden), (hidden, hidden), (hidden, hidden), (hidden, hidden), (ffn, hidden),
      (ffn, hidden), (hidden, ffn),
    ]
  }

  func run() throws {
    let packed = try PackedStack(self)
    let dense = try denseLayers > 0 ? DenseStack(self) : nil
    var bodies: [() throws -> Void] = [
      { packed.read() }, { packed.multiply(usesInt8: false) }, { packed.multiply(usesInt8: true) },
    ]
    if let dense { bodies.append { try dense.multiply() } }
    let share = cpuTime ? Double(threads) : 1
    let seconds = try Stopwatch.alternate(
      runs: runs, clock: cpuTime ? .process : .wall, bodies
    ).map { $0.map { $0 / share } }
    var table = Table([.left, .right, .right, .right, .right])
    table.add("\(tokens) token(s), \(threads) threads", "bytes", "ms", "GB/s", "of reading")
    let names = ["reading", "f32 activations", "8-bit activations"]
    for (name, times) in zip(names, seconds) {
      add(name, packed.byteCount, times, beside: seconds[0], to: &table)
    }
    guard let dense else { return Terminal.print(table.text()) }
    let times = seconds[3].map { $0 * Double(dense.fullByteCount) / Double(dense.byteCount) }
    let read = seconds[0].map { $0 * Double(dense.fullByteCount) / Double(packed.byteCount) }
    add("BF16 weights", dense.fullByteCount, times, beside: read, to: &table)
    Terminal.print(table.text())
    let size = Double(dense.fullByteCount) / Double(packed.byteCount)
    for (name, own) in zip(names, seconds).dropFirst() {
      let gain = Stopwatch.ratio(times, to: own)
      Terminal.print(
        "\(name): \(Words.fixed(gain, 2)) times as fast as BF16, sizes allow \(Words.fixed(size, 2)): "
          + Words.fixed(gain / size, 2))
    }
  }

  private func add(
    _ name: String, _ bytes: Int, _ times: [Double], beside read: [Double], to table: inout Table
  ) {
    let median = Stopwatch.median(times)
    table.add(
      name, Words.bytes(bytes), Words.fixed(median * 1e3, 2),
      Words.fixed(Double(bytes) / median / 1e9, 2), Words.fixed(Stopwatch.ratio(read, to: times), 2)
    )
  }

  fileprivate func matrices(layers: Int) -> [(rows: Int, columns: Int)] {
    let layered = (0..<layers).flatMap { _ in shapes }
    return layered + (vocab > 0 ? [(vocab, hidden)] : [])
  }

  /// Random tokens wide enough for any of the matrices.
  fileprivate func drawnInput() -> AlignedBytes {
    var random = RandomBytes()
    var input = AlignedBytes(count: tokens * max(hidden, ffn) * 4)
    input.withMutableBytes(count: input.count) { bytes in
      for index in 0..<bytes.byteCount / 4 {
        bytes.set((Float(random.next() & 1023) / 512 - 1).bitPattern, at: index)
      }
    }
    return input
  }

  /// f32 outputs of the largest of the matrices.
  fileprivate var outputCount: Int { tokens * max(hidden, ffn, vocab) }
}

/// Packed matrices of a model.
private final class PackedStack {
  private let bench: BenchDecode
  private let matrices: [PackedMatrix]
  private let input: AlignedBytes
  private var output: AlignedBytes
  private var sum: UInt64 = 0

  init(_ bench: BenchDecode) throws {
    self.bench = bench
    matrices = try bench.matrices(layers: bench.layers).map { rows, columns in
      let form = QuantizedForm(
        rows: rows, columns: columns, grid: bench.nf4 ? .nf4 : .affine(bits: bench.bits),
        grouping: .columns(size: bench.group), scaleType: .f16,
        offset: bench.nf4 ? .none : .integer)
      return try PackedMatrix(DrawnWeights(rows, columns, form), threads: bench.threads)
    }
    input = bench.drawnInput()
    output = AlignedBytes(count: bench.outputCount * 4)
  }

  var byteCount: Int { matrices.reduce(0) { $0 + $1.byteCount } }

  func read() {
    for matrix in matrices { sum &+= matrix.readThrough(threads: bench.threads) }
  }

  func multiply(usesInt8: Bool) {
    for matrix in matrices {
      input.withBytes { input in
        output.withMutableBytes(count: bench.tokens * matrix.rows * 4) { output in
          matrix.multiply(
            input.part(0..<bench.tokens * matrix.columns * 4), tokens: bench.tokens,
            int8Group: bench.int8Group > 0 ? bench.int8Group : nil, usesInt8: usesInt8,
            into: &output, threads: bench.threads)
        }
      }
    }
  }
}

/// BF16 matrices of a model.
private final class DenseStack {
  private let bench: BenchDecode
  private let compute: CPUCompute
  private let weights: [any LoadedWeight]
  private let input: Buffer
  private let output: Buffer

  init(_ bench: BenchDecode) throws {
    self.bench = bench
    let compute = CPUCompute(threads: bench.threads)
    self.compute = compute
    weights = try bench.matrices(layers: bench.denseLayers).map { rows, columns in
      try compute.load(DrawnWeights(rows, columns, nil), activations: .float)
    }
    let drawn = bench.drawnInput()
    input = compute.makeBuffer(drawn.count / 4)
    output = compute.makeBuffer(bench.outputCount)
    compute.write(drawn.bytes, to: input, at: 0)
  }

  var byteCount: Int { weights.reduce(0) { $0 + $1.byteCount } }
  /// Bytes of as many layers as the packed side has.
  var fullByteCount: Int {
    bench.matrices(layers: bench.layers).reduce(0) { $0 + $1.rows * $1.columns * 2 }
  }

  func multiply() throws {
    for weight in weights {
      try (compute as any Compute).linear(
        input, tokens: bench.tokens, weight, bias: nil, into: output)
    }
  }
}

/// A source of weights of a few thousand random numbers again and again, dense in BF16 where it has no form.
private struct DrawnWeights: WeightSource {
  let name = "drawn"
  let rows: Int
  let columns: Int
  let form: QuantizedForm?
  var denseType: DType { .bf16 }
  private let codes: [UInt8]
  private let values: [UInt8]

  init(_ rows: Int, _ columns: Int, _ form: QuantizedForm?) {
    (self.rows, self.columns, self.form) = (rows, columns, form)
    var random = RandomBytes()
    let mask = UInt8(1 << (form?.grid.bits ?? 8) - 1)
    codes = (0..<8191).map { _ in UInt8(truncatingIfNeeded: random.next()) & mask }
    // Numbers that BF16 holds.
    let floats = (0..<8191).map { _ in Float(Int(random.next() & 127) - 64) / 4096 }
    values = floats.rawSpan.array
  }

  private func fill(_ target: inout MutableRawSpan, with pattern: [UInt8], from start: Int) {
    var (position, place) = (0, start % pattern.count)
    while position < target.byteCount {
      let count = min(pattern.count - place, target.byteCount - position)
      var part = target.part(position..<position + count)
      part.copy(from: pattern.rawSpan.part(place..<place + count))
      (position, place) = (position + count, 0)
    }
  }

  func readWeights(
    _ rows: Range<Int>, into weights: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    fill(&weights, with: values, from: rows.lowerBound * columns * 4)
  }

  func readCodes(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    fill(&codes, with: self.codes, from: rows.lowerBound * columns)
  }

  func readScales(
    _ rows: Range<Int>, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    for index in 0..<scales.byteCount / 4 {
      scales.set((Float(1 + (rows.lowerBound + index) % 7) / 512).bitPattern, at: index)
    }
  }

  func readOffsets(
    _ rows: Range<Int>, into offsets: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    for index in 0..<offsets.byteCount / 4 {
      offsets.set(Float((rows.lowerBound + index) % 13).bitPattern, at: index)
    }
  }
}
