import Checkpoints

extension BenchKernels {
  /// Blocks of numbers to codes of four and eight bits and back, rows of float16 to signed bytes and
  /// back: numbers like those of a weight.
  static func blockwise(_ count: Int) throws -> [Row] {
    var random = RandomBytes()
    let floats = (0..<count).map { _ in
      (0..<4).reduce(Float(0)) { sum, _ in sum + Float(random.next() & 0xFFFF) - 32767.5 } / 2e6
    }
    let brains = try narrowed(floats, .bf16)
    let halves = try narrowed(floats, .f16)
    return try fourBits(floats, brains) + [eightBits(floats)] + rows(halves)
  }

  private static func narrowed(_ floats: [Float], _ type: DType) throws -> [UInt8] {
    var bytes = AlignedBytes(count: floats.count * 2)
    try bytes.withMutableBytes(count: bytes.count) {
      try FloatConversion.fromFloat32(type, floats.rawSpan, into: &$0)
    }
    return bytes.bytes.array
  }

  private static func fourBits(_ floats: [Float], _ brains: [UInt8]) throws -> [Row] {
    let count = floats.count
    let (nf4, fp4) = (try FourBit(.nf4), try FourBit(.fp4))
    let table = CodeTables.nf4
    let scales = [Float](repeating: 0.5, count: count / nf4.blockSize)
    return [
      Row(name: "NF4 quantize, f32", bytes: count * 4 + count / 2) { _, target in
        quantize(floats.rawSpan, .f32, by: nf4, into: &target)
      },
      Row(name: "NF4 quantize, bf16", bytes: count * 2 + count / 2) { _, target in
        quantize(brains.rawSpan, .bf16, by: nf4, into: &target)
      },
      Row(name: "FP4 quantize, bf16", bytes: count * 2 + count / 2) { _, target in
        quantize(brains.rawSpan, .bf16, by: fp4, into: &target)
      },
      Row(name: "NF4 dequantize, bf16", bytes: count / 2 + count * 2) { _, target in
        var values = target.part(0..<count * 2)
        Nibbles.dequantize(
          brains.rawSpan.part(0..<count / 2), table: table.rawSpan, group: nf4.blockSize,
          scales: scales.rawSpan, as: .bf16, into: &values)
      },
    ]
  }

  /// Tile by tile, as weights are read.
  private static func quantize(
    _ values: RawSpan, _ type: DType, by quantizer: FourBit, into target: inout MutableRawSpan
  ) {
    let size = type.bits / 8
    let count = values.byteCount / size
    for start in stride(from: 0, to: count, by: 4096) {
      let end = min(start + 4096, count)
      let tile = values.part(start * size..<end * size)
      // Behind the codes.
      let blocks = count + start / quantizer.blockSize * 4..<count + end / quantizer.blockSize * 4
      var maxima = target.part(blocks)
      _ = quantizer.absmax(tile, type, into: &maxima)
      let known = maxima.bytes.array
      var packed = target.part(start / 2..<end / 2)
      quantizer.quantize(tile, type, absmax: known.rawSpan, into: &packed)
    }
  }

  private static func eightBits(_ floats: [Float]) throws -> Row {
    let eight = try EightBit()
    let count = floats.count
    return Row(name: "8-bit block quantize", bytes: count * 5) { _, target in
      var maxima = target.part(count..<count + count / eight.blockSize * 4)
      _ = eight.absmax(floats.rawSpan, into: &maxima)
      let known = maxima.bytes.array
      var codes = target.part(0..<count)
      eight.quantize(floats.rawSpan, absmax: known.rawSpan, into: &codes)
    }
  }

  private static func rows(_ halves: [UInt8]) -> [Row] {
    let count = halves.count / 2
    let quantizer = Int8Rows()
    let maxima = [Float](repeating: 0.5, count: count / 4096)
    return [
      Row(name: "int8 row quantize, f16", bytes: count * 3) { _, target in
        for start in stride(from: 0, to: count, by: 4096) {
          let row = halves.rawSpan.part(start * 2..<(start + 4096) * 2)
          var codes = target.part(start..<start + 4096)
          quantizer.quantize(row, absmax: quantizer.absmax(row).value, into: &codes)
        }
      },
      Row(name: "int8 row dequantize, f32", bytes: count * 5) { source, target in
        var values = target.part(0..<count * 4)
        Checkpoints.Dequantize.signedRun(
          source.part(0..<count), group: 4096, scales: maxima.rawSpan, factor: Grid.int8Factor,
          into: &values)
      },
    ]
  }
}
