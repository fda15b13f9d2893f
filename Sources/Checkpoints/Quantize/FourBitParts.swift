internal import Codecs
internal import Kernels
internal import Quantizers
internal import TensorCore

/// The tensors that one dense weight becomes in codes of four bits (BNB-10 to BNB-16).
struct FourBitParts {
  let module: String
  let reader: WeightReader
  let quantizer: FourBit
  let storage: DType
  /// nil where the maxima stay plain.
  let nested: NestedMaxima?

  private var weight: Tensor { reader.weight }
  private var blocks: Int { reader.count.dividedRoundingUp(by: quantizer.blockSize) }

  /// Reads the whole weight once where its maxima are quantized too.
  init(
    _ weight: Tensor, _ kind: FourBit.Kind, _ quantization: Quantization, _ workspace: Workspace
  ) throws {
    module = String(weight.name.dropLast(".weight".count))
    reader = WeightReader(weight: weight, allowsNonFinite: quantization.allowsNonFinite)
    quantizer = try FourBit(
      kind, blockSize: quantization.blockSize, rules: quantization.rules)
    storage = quantization.storage
    let maxima = BlockMaxima(reader: reader, quantizer: quantizer)
    nested = quantization.doubleQuantized ? try NestedMaxima(maxima, workspace) : nil
  }

  func parts() throws -> QuantizedParts {
    let (parts, size) = (self, quantizer.blockSize)
    let bytes = nested == nil ? 4 : 1
    let companion = Companion(part: try maxima()) { rows in
      let run = parts.run(of: rows)
      return run.lowerBound / size * bytes..<run.upperBound.dividedRoundingUp(by: size) * bytes
    } make: {
      try parts.fill($0, into: &$1, maxima: &$2, $3)
    }
    let others = [try table(QuantState.Part.map, quantizer.kind.table), try state()]
    return QuantizedParts(
      weight: try codes(), companion: companion, others: others + (try nestedParts()))
  }

  /// Numbers of the weight whose codes are in rows of the packed tensor.
  private func run(of rows: Range<Int>) -> Range<Int> {
    let numbers = storage.bits / 4
    return rows.lowerBound * numbers..<min(rows.upperBound * numbers, reader.count)
  }

  private func codes() throws -> EncodedPart {
    let size = storage.bits / 8
    let bytes = (reader.count + 1) / 2
    guard bytes % size == 0 else {
      throw Failure(
        .cannotRepresent, at: weight.place, "its packed codes fill no whole elements",
        expected: "a multiple of \(size) bytes for \(storage)", found: "\(bytes) bytes",
        rule: "BNB-11", remedy: "--quant-storage uint8")
    }
    let parts = self
    // A band holds whole blocks, and whole groups of them where their maxima are packed.
    let blocks = nested == nil ? 1 : DoubleQuantization.blockSize
    return try EncodedPart(
      "\(module).\(QuantState.Part.weight)", storage, [bytes / size, 1],
      alignment: max(1, quantizer.blockSize / 2 / size * blocks)
    ) { rows, packed, workspace in
      let blocks = parts.run(of: rows).count.dividedRoundingUp(by: parts.quantizer.blockSize)
      try workspace.lend(blocks * 4) { maxima in
        try parts.quantize(rows, into: &packed, maxima: &maxima, workspace)
      }
    }
  }

  /// Codes, and the maxima they are made with as the file has them.
  private func fill(
    _ rows: Range<Int>, into packed: inout MutableRawSpan, maxima: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    guard let nested else {
      return try quantize(rows, into: &packed, maxima: &maxima, workspace)
    }
    let first = run(of: rows).lowerBound / quantizer.blockSize
    try workspace.lend(maxima.byteCount * 4) { absmax in
      try quantize(rows, into: &packed, maxima: &absmax, workspace)
      nested.pack(&absmax, from: first, into: &maxima)
    }
  }

  /// Codes, and their maxima in float32.
  private func quantize(
    _ rows: Range<Int>, into packed: inout MutableRawSpan, maxima: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    let run = run(of: rows)
    let (size, type) = (quantizer.blockSize, reader.type)
    var wrong = 0
    try reader.read(run, workspace) { start, stored in
      let count = stored.byteCount / reader.size
      let blocks = start / size..<(start + count).dividedRoundingUp(by: size)
      var absmax = maxima.part(blocks.lowerBound * 4..<blocks.upperBound * 4)
      wrong += quantizer.absmax(stored, type, into: &absmax)
      var target = packed.part(start / 2..<(start + count + 1) / 2)
      quantizer.quantize(stored, type, absmax: absmax.bytes, into: &target)
    }
    if wrong > 0 { try reader.refuse(run, workspace) }
  }

  private func maxima() throws -> EncodedPart {
    let maxima = BlockMaxima(reader: reader, quantizer: quantizer)
    let name = "\(module).\(QuantState.Part.absmax)"
    guard let nested else {
      return try EncodedPart(name, .f32, [blocks]) { blocks, bytes, workspace in
        try maxima.read(blocks, into: &bytes, workspace)
      }
    }
    return try EncodedPart(
      name, .u8, [blocks], alignment: DoubleQuantization.blockSize
    ) { blocks, bytes, workspace in
      try nested.write(blocks, of: maxima, into: &bytes, workspace)
    }
  }

  private func nestedParts() throws -> [EncodedPart] {
    guard let nested else { return [] }
    return try [
      table(QuantState.Part.nestedAbsmax, nested.absmax),
      table(QuantState.Part.nestedMap, nested.quantization.table),
    ]
  }

  private func table(_ part: String, _ values: [Float]) throws -> EncodedPart {
    try EncodedPart(constant: "\(module).\(part)", .f32, [values.count], values.rawSpan.array)
  }

  private func state() throws -> EncodedPart {
    guard let kind = QuantState.Kind(rawValue: quantizer.kind.rawValue) else {
      throw Failure(.internal, at: module, "a table without a state")
    }
    let state = QuantState(
      kind: kind, blockSize: quantizer.blockSize, dtype: weight.dtype, rows: weight.shape[0],
      columns: weight.shape[1],
      nested: nested.map {
        .init(blockSize: DoubleQuantization.blockSize, offset: $0.quantization.offset)
      })
    let text = Array(state.text.utf8)
    return try EncodedPart(
      constant: "\(module).\(QuantState.Part.state(kind))", .u8, [text.count], text)
  }
}

/// The maxima of a weight's blocks, read from the weight.
struct BlockMaxima: Sendable {
  let reader: WeightReader
  let quantizer: FourBit

  var count: Int { reader.count.dividedRoundingUp(by: quantizer.blockSize) }

  func read(
    _ blocks: Range<Int>, into absmax: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = quantizer.blockSize
    let run = blocks.lowerBound * size..<min(blocks.upperBound * size, reader.count)
    var wrong = 0
    try reader.read(run, workspace) { start, stored in
      let first = start / size
      let count = (stored.byteCount / reader.size).dividedRoundingUp(by: size)
      var target = absmax.part(first * 4..<(first + count) * 4)
      wrong += quantizer.absmax(stored, reader.type, into: &target)
    }
    if wrong > 0 { try reader.refuse(run, workspace) }
  }
}

/// The statistics of a weight's maxima: what can be told only from all of them.
struct NestedMaxima: Sendable {
  let quantization: DoubleQuantization
  /// One for each 256 maxima.
  let absmax: [Float]

  /// Reads the weight; memory is a float for each block.
  init(_ maxima: BlockMaxima, _ workspace: Workspace) throws {
    let count = maxima.count
    (quantization, absmax) = try workspace.lend(count * 4) { absmax in
      try maxima.read(0..<count, into: &absmax, workspace)
      let made = try DoubleQuantization(of: absmax.bytes, rules: maxima.quantizer.rules)
      made.centre(&absmax)
      let groups = count.dividedRoundingUp(by: DoubleQuantization.blockSize)
      let nested = workspace.lend(groups * 4) { nested in
        made.nestedAbsmax(absmax.bytes, into: &nested)
        return (0..<groups).map { nested.bytes.float32(at: $0) }
      }
      return (made, nested)
    }
  }

  /// Codes of the maxima of blocks that begin with a group of 256.
  func write(
    _ blocks: Range<Int>, of maxima: BlockMaxima, into codes: inout MutableRawSpan,
    _ workspace: Workspace
  ) throws {
    try workspace.lend(blocks.count * 4) { absmax in
      try maxima.read(blocks, into: &absmax, workspace)
      pack(&absmax, from: blocks.lowerBound, into: &codes)
    }
  }

  /// Codes of maxima, which are centred; `first` is the block they begin with.
  func pack(
    _ maxima: inout MutableRawSpan, from first: Int, into codes: inout MutableRawSpan
  ) {
    let size = DoubleQuantization.blockSize
    let end = (first + codes.byteCount).dividedRoundingUp(by: size)
    quantization.centre(&maxima)
    quantization.quantize(
      maxima.bytes, nested: Array(absmax[first / size..<end]).rawSpan, into: &codes)
  }
}

extension EncodedPart {
  /// A small tensor that is known.
  init(
    constant name: String, _ dtype: DType, _ dimensions: [Int], _ content: [UInt8]
  ) throws {
    try self.init(name, dtype, dimensions) { rows, bytes, _ in
      let rowBytes = content.count / max(1, dimensions.first ?? 1)
      bytes.copy(
        from: content.rawSpan.part(rows.lowerBound * rowBytes..<rows.upperBound * rowBytes))
    }
  }
}
