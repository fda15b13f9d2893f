import ArgumentParser
import Checkpoints

/// Every layout and width: packing, unpacking and dequantizing one layer that lies in memory, on one
/// core, beside `memcpy` of as many bytes in the same run.
///
/// Bytes count once as they are read and once as they are written. Both sides read the whole layer, which
/// is larger than a core's own cache; ours read it as codecs do, into a buffer and from there, and write to
/// buffers of the size that conversions write to disk. `memcpy` copies half of the bytes to the other half.
struct BenchCodecs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "codecs", abstract: "Time every layout beside memcpy.")

  @Option(help: "One layout only.")
  var only: String?

  @Option(help: "One width only.")
  var bits: Int?

  @Option(help: "Outputs of the layer.")
  var rows = 4096

  @Option(help: "Inputs of the layer.")
  var columns = 4096

  @Option(help: "Columns that share a scale.")
  var groupSize = 128

  @Option(help: "Counted runs of each side.")
  var runs = 5

  @Option(help: "The type weights are dequantized to.")
  var dtype = DenseType(argument: "bf16")!

  private struct Row {
    let name: String
    /// Bytes read and written.
    let bytes: Int
    let body: () throws -> Void
  }

  func run() throws {
    var table = Table([.left, .right, .right])
    table.add("layout (\(Processor.Level.best))", "GB/s", "of memcpy")
    for codec in Codecs.writable where only == nil || codec.name == only {
      for bits in [2, 3, 4, 5, 6, 8] where self.bits == nil || bits == self.bits {
        guard let rows = try rows(codec, bits: bits) else { continue }
        try time(rows, into: &table)
      }
    }
    Terminal.print(table.text())
  }

  private func time(_ rows: [Row], into table: inout Table) throws {
    let most = rows.map(\.bytes).max() ?? 0
    let source = AlignedBytes(count: most / 2)
    var target = AlignedBytes(count: most / 2)
    for row in rows {
      let seconds = try Stopwatch.alternate(
        runs: runs, clock: .thread,
        [
          row.body,
          {
            target.withMutableBytes(count: row.bytes / 2) { bytes in
              bytes.copy(from: source.bytes.part(0..<row.bytes / 2))
            }
          },
        ])
      let rate = Double(row.bytes) / Stopwatch.median(seconds[0]) / 1e9
      table.add(
        row.name, Words.fixed(rate, 2), Words.fixed(Stopwatch.ratio(seconds[1], to: seconds[0]), 2))
    }
  }

  /// nil where the layout has no codes of that width.
  private func rows(_ codec: any Codec, bits: Int) throws -> [Row]? {
    let order: Order = ["gptq", "gptq_v2", "awq"].contains(codec.name) ? .inputMajor : .outputMajor
    let drawn = DrawnLayer(
      rows: rows, columns: columns, bits: bits, groupSize: groupSize, order: order)
    let workspace = Workspace()
    guard try codec.refusal(of: LayerFacts(of: drawn, workspace)) == nil else { return nil }
    let parts = try codec.parts(of: drawn, options: EncodingOptions())
    let tensors = try parts.map { try Self.made($0, workspace) }
    let settings = Scheme.Settings(bits: bits, groupSize: groupSize, symmetric: false)
    let scheme = Scheme(layout: codec.name, defaults: settings)
    let claims = try codec.claims(
      drawn.name, in: TensorTable(tensors), declared: Declared(scheme: scheme, settings: settings))
    guard let claim = claims.first else { return nil }
    let layer = try codec.open(claim, scheme: scheme, assume: nil)
    let packed = tensors.reduce(0) { $0 + $1.byteCount }
    let name = "\(codec.name) \(bits)-bit"
    let bands = layer.form.bands(
      .outputMajor,
      bytes: layer.order == .outputMajor ? BandSize.matched / 4 : BandSize.turnedDense(layer) / 2)
    let dtype = dtype.dtype
    return [
      Row(name: "\(name) pack", bytes: packed + rows * columns) {
        for part in parts { try Self.make(part, bits: bits, workspace) }
      },
      Row(name: "\(name) unpack", bytes: packed + rows * columns) {
        for band in layer.form.bands(layer.order, bytes: BandSize.matched) {
          try workspace.lend(band.count) {
            try layer.readCodes(band, layer.order, into: &$0, workspace)
          }
        }
      },
      Row(name: "\(name) dequantize", bytes: packed + rows * columns * dtype.bits / 8) {
        for band in bands {
          try layer.readRounded(band.rows, as: dtype, workspace) { _, _ in }
        }
      },
    ]
  }

  /// Makes a part in bands of the size that conversions use, by codes where it packs them.
  private static func make(_ part: EncodedPart, bits: Int, _ workspace: Workspace) throws {
    let height = part.info.shape[0]
    let rowBytes = part.info.byteCount / height
    let bytes = part.order == nil ? BandSize.matched : BandSize.matched * bits / 8
    let step = max(part.alignment, bytes / rowBytes / part.alignment * part.alignment)
    for start in stride(from: 0, to: height, by: step) {
      let range = start..<min(start + step, height)
      try workspace.lend(range.count * rowBytes) { try part.make(range, &$0, workspace) }
    }
  }

  private static func made(_ part: EncodedPart, _ workspace: Workspace) throws -> Tensor {
    var block = AlignedBytes(count: part.info.byteCount)
    try block.withMutableBytes(count: block.count) {
      try part.make(0..<part.info.shape[0], &$0, workspace)
    }
    return Tensor(info: part.info, source: HeldBytes(bytes: block.bytes.array), offset: 0)
  }
}
