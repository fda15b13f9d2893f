import Checkpoints

extension BenchKernels {
  /// Blocks of float32 to four and eight bits, rows of float16 to signed bytes.
  static func blockwise(_ count: Int) throws -> [Row] {
    let (four, eight) = (try FourBit(.nf4), try EightBit())
    let rows = Int8Rows()
    return [
      Row(name: "NF4 quantize", bytes: count * 4 + count / 2) { source, target in
        for start in stride(from: 0, to: count, by: 8192) {
          let part = min(8192, count - start)
          let values = source.part(start * 4..<(start + part) * 4)
          var maxima = target.part(count..<count + part / four.blockSize * 4)
          _ = four.absmax(values, into: &maxima)
          let known = maxima.bytes.array
          var packed = target.part(start / 2..<(start + part) / 2)
          four.quantize(values, absmax: known.rawSpan, into: &packed)
        }
      },
      Row(name: "8-bit block quantize", bytes: count * 5) { source, target in
        var maxima = target.part(count..<count + count / eight.blockSize * 4)
        let values = source.part(0..<count * 4)
        _ = eight.absmax(values, into: &maxima)
        let known = maxima.bytes.array
        var codes = target.part(0..<count)
        eight.quantize(values, absmax: known.rawSpan, into: &codes)
      },
      Row(name: "int8 row quantize", bytes: count * 3) { source, target in
        for start in stride(from: 0, to: count, by: 4096) {
          let halves = source.part(start * 2..<(start + 4096) * 2)
          var codes = target.part(start..<start + 4096)
          rows.quantize(halves, absmax: rows.absmax(halves).value, into: &codes)
        }
      },
    ]
  }
}
