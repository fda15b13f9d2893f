internal import Codecs
internal import Kernels
internal import Quantizers
internal import TensorCore

/// The tensors that one dense weight becomes in LLM.int8()'s rows (BNB-20 to BNB-22).
struct Int8Parts {
  /// Bytes of one call to the system; what is read is still in the cache when it is used.
  private static let readBytes = 1 << 17

  let module: String
  let weight: Tensor
  let reader: WeightReader
  let quantizer: Int8Rows

  init(_ weight: Tensor, _ quantization: Quantization) {
    module = String(weight.name.dropLast(".weight".count))
    self.weight = weight
    reader = WeightReader(weight: weight, allowsNonFinite: quantization.allowsNonFinite)
    quantizer = Int8Rows(rules: quantization.rules)
  }

  func parts() throws -> QuantizedParts {
    let (parts, columns) = (self, weight.shape[1])
    let codes = try EncodedPart(
      "\(module).weight", .i8, [weight.shape[0], columns]
    ) { rows, codes, workspace in
      try workspace.lend(rows.count * 4) { maxima in
        try parts.fill(rows, into: &codes, maxima: &maxima, workspace)
      }
    }
    let maxima = try EncodedPart("\(module).SCB", .f32, [weight.shape[0]]) {
      rows, maxima, workspace in
      try parts.readRows(rows, workspace) { row, _, most in
        maxima.set(most.bitPattern, at: row)
      }
    }
    let companion = Companion(part: maxima) { rows in
      rows.lowerBound * 4..<rows.upperBound * 4
    } make: {
      try parts.fill($0, into: &$1, maxima: &$2, $3)
    }
    // 0 stands for rows.
    let format = try EncodedPart(constant: "\(module).weight_format", .u8, [], [0])
    return QuantizedParts(weight: codes, companion: companion, others: [format])
  }

  private func fill(
    _ rows: Range<Int>, into codes: inout MutableRawSpan, maxima: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let columns = weight.shape[1]
    try readRows(rows, workspace) { row, halves, most in
      maxima.set(most.bitPattern, at: row)
      var target = codes.part(row * columns..<(row + 1) * columns)
      quantizer.quantize(halves, absmax: most, into: &target)
    }
  }

  /// Calls `body` with rows as float16 and their largest magnitudes.
  private func readRows(
    _ rows: Range<Int>, _ workspace: Workspace,
    _ body: (_ row: Int, _ halves: RawSpan, _ most: Float) throws -> Void
  ) throws {
    let columns = weight.shape[1]
    let stored = columns * weight.dtype.bits / 8
    let step = max(1, Self.readBytes / stored)
    for start in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
      let band = start..<min(start + step, rows.upperBound)
      try workspace.lend(band.count * stored) { bytes in
        try weight.read(into: &bytes, at: band.lowerBound * stored)
        for (position, row) in band.enumerated() {
          let part = bytes.bytes.part(position * stored..<(position + 1) * stored)
          try narrow(part, workspace) { halves in
            let most = quantizer.absmax(halves)
            if !most.isFinite { try refuse(row, workspace) }
            try body(row - rows.lowerBound, halves, most.value)
          }
        }
      }
    }
  }

  private func narrow(
    _ stored: RawSpan, _ workspace: Workspace, _ body: (RawSpan) throws -> Void
  ) throws {
    guard weight.dtype != .f16 else { return try body(stored) }
    let count = stored.byteCount * 8 / weight.dtype.bits
    try workspace.lend(count * 4) { values in
      try FloatConversion.toFloat32(weight.dtype, stored, into: &values)
      try workspace.lend(count * 2) { halves in
        try FloatConversion.fromFloat32(.f16, values.bytes, into: &halves)
        try body(halves.bytes)
      }
    }
  }

  /// A row that float16 can't hold: of infinities and NaN, or of numbers beyond 65504.
  private func refuse(_ row: Int, _ workspace: Workspace) throws {
    if reader.allowsNonFinite { return }
    let columns = weight.shape[1]
    try reader.refuse(row * columns..<(row + 1) * columns, workspace)
    throw Failure(
      .cannotRepresent, at: weight.place, "LLM.int8() takes weights as float16",
      expected: "at most 65504", found: "a larger number in row \(row)", rule: "BNB-20",
      remedy: "--method bnb-nf4, or --allow-nonfinite")
  }
}
