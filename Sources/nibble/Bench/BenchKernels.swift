import ArgumentParser
import Checkpoints

/// Every kernel beside `memcpy` in the same run, on one core and in the cache: bytes in plus bytes
/// out per second.
struct BenchKernels: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels", abstract: "Time the kernels beside memcpy.")

  @Option(help: "Codes in a tile.")
  var codes = 1 << 18

  @Option(help: "Outputs of the layer.")
  var columns = 4096

  @Option(help: "Counted runs of each kernel; each repeats the tile.")
  var runs = 15

  struct Row {
    let name: String
    let bytes: Int
    let body: (RawSpan, inout MutableRawSpan) -> Void
  }

  func run() throws {
    var source = AlignedBytes(count: codes * 4)
    var target = AlignedBytes(count: codes * 4)
    var random = RandomBytes()
    source.withMutableBytes(count: source.count) { bytes in
      for index in 0..<bytes.byteCount { bytes.set(UInt8(random.next() & 3), at: index) }
    }
    let rows = try rows + Self.blockwise(codes)
    let repeats = 64
    let seconds = try Stopwatch.alternate(
      runs: runs, clock: .thread,
      rows.map { row in
        {
          for _ in 0..<repeats {
            target.withMutableBytes(count: target.count) { row.body(source.bytes, &$0) }
          }
        }
      })
    var table = Table([.left, .right, .right])
    table.add("kernel (\(Processor.Level.best))", "GB/s", "of memcpy")
    let rates = zip(rows, seconds).map { row, times in
      times.map { Double(row.bytes * repeats) / $0 }
    }
    for (row, rate) in zip(rows, rates) {
      table.add(
        row.name, Words.fixed(Stopwatch.median(rate) / 1e9, 2),
        Words.fixed(Stopwatch.ratio(rate, to: rates[0]), 2))
    }
    Terminal.print(table.text())
    try BenchProducts(runs: runs).run()
  }

  private var rows: [Row] {
    let codes = codes
    let columns = columns
    var rows = [
      Row(name: "memcpy", bytes: codes * 2) { source, target in
        var part = target.part(0..<codes)
        part.copy(from: source.part(0..<codes))
      }
    ]
    for bits in [2, 3, 4, 8] {
      // Whole words down every column.
      let tile = codes / (columns * 32) * columns * 32
      let words = tile * bits / 8
      rows.append(
        Row(name: "GPTQ \(bits)-bit unpack", bytes: tile + words) { source, target in
          var part = target.part(0..<tile)
          WordRows.unpack(bits: bits, source.part(0..<words), columns: columns, into: &part)
        })
      rows.append(
        Row(name: "GPTQ \(bits)-bit pack", bytes: tile + words) { source, target in
          var part = target.part(0..<words)
          WordRows.pack(bits: bits, source.part(0..<tile), columns: columns, into: &part)
        })
    }
    rows.append(
      Row(name: "AWQ unpack", bytes: codes * 3 / 2) { source, target in
        var part = target.part(0..<codes)
        InterleavedWords.unpack(source.part(0..<codes / 2), into: &part)
      })
    rows.append(
      Row(name: "AWQ pack", bytes: codes * 3 / 2) { source, target in
        var part = target.part(0..<codes / 2)
        InterleavedWords.pack(source.part(0..<codes), into: &part)
      })
    rows.append(
      Row(name: "GEMV_FAST unpack", bytes: codes * 3 / 2) { source, target in
        var part = target.part(0..<codes)
        QuadRows.unpack(source.part(0..<codes / 2), columns: columns, into: &part)
      })
    rows.append(
      Row(name: "GEMV_FAST pack", bytes: codes * 3 / 2) { source, target in
        var part = target.part(0..<codes / 2)
        QuadRows.pack(source.part(0..<codes), columns: columns, into: &part)
      })
    rows.append(
      Row(name: "HQQ 4-bit slice", bytes: codes * 2) { source, target in
        var part = target.part(0..<codes)
        Bytes.extract(source.part(0..<codes), down: 4, mask: 15, into: &part)
      })
    for bits in [2, 3, 4, 5, 6, 8] {
      let words = codes * bits / 8
      rows.append(
        Row(name: "stream \(bits)-bit unpack", bytes: codes + words) { source, target in
          var part = target.part(0..<codes)
          BitStream.unpack(bits: bits, source.part(0..<words), into: &part)
        })
      rows.append(
        Row(name: "stream \(bits)-bit pack", bytes: codes + words) { source, target in
          var part = target.part(0..<words)
          BitStream.pack(bits: bits, source.part(0..<codes), into: &part)
        })
    }
    rows.append(
      Row(name: "transpose words", bytes: codes * 2) { source, target in
        var part = target.part(0..<codes)
        let height = codes / 4 / columns
        Transpose.words(source.part(0..<codes), rows: height, columns: columns, into: &part)
      })
    rows.append(
      Row(name: "transpose bytes", bytes: codes * 2) { source, target in
        var part = target.part(0..<codes)
        let height = codes / columns
        Transpose.bytes(source.part(0..<codes), rows: height, columns: columns, into: &part)
      })
    let groups = codes / 128
    rows.append(
      Row(name: "affine codes to f32", bytes: codes * 5 / 2) { source, target in
        var part = target.part(0..<codes * 2)
        Checkpoints.Dequantize.affineRun(
          source.part(0..<codes / 2), group: 128, scales: source.part(0..<groups * 2),
          zeros: source.part(0..<groups * 2), into: &part)
      })
    rows.append(
      Row(name: "f32 to bf16", bytes: codes * 3) { source, target in
        var part = target.part(0..<codes)
        try? FloatConversion.fromFloat32(.bf16, source.part(0..<codes * 2), into: &part)
      })
    for level in Processor.levels {
      rows.append(
        Row(name: "SHA-256 (\(level))", bytes: codes) { source, target in
          var hash = SHA256(on: level)
          hash.update(source.part(0..<codes))
          target.set(hash.finish()[0], at: 0)
        })
    }
    return rows
  }
}
