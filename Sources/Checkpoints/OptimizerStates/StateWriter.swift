internal import Containers
internal import Kernels
internal import Quantizers
internal import Synchronization
internal import TensorCore

/// Writes the states of one parameter in other bits.
struct StateWriter {
  let entry: OptimizerEntry
  let file: OutputFile
  let stream: SafetensorsStream
  let rules: PeerRules
  let threads: Int

  func copy(_ tensor: Tensor) throws { try Self.copy(tensor, to: file, stream) }

  static func copy(_ tensor: Tensor, to file: OutputFile, _ stream: SafetensorsStream) throws {
    let offset = try stream.place(tensor.info)
    try tensor.forEachBlock { try file.write($1, at: offset + $0) }
  }

  private func place(_ name: String, _ dtype: DType, _ shape: Shape) throws -> Int {
    guard let info = TensorInfo(name: name, dtype: dtype, shape: shape) else {
      throw Failure(.cannotRepresent, at: name, "the state is too large")
    }
    return try stream.place(info)
  }

  /// 8 bits to 32: map[code] · scale, one rounding each.
  func expand() throws {
    // The stream is for this thread alone.
    let file = file
    for key in entry.stateKeys {
      let blocks = try StateBlocks(entry, key, rules: rules)
      let offset = try place(blocks.state.name, .f32, blocks.state.shape)
      let bands = StateBands(count: blocks.count, stacks: blocks.stacks, block: blocks.block)
      try parallelBands(bands.bands, threads: threads) { index, workspace in
        let band = bands.band(index)
        let scales = blocks.scales(band.blocks, stack: band.stack)
        try workspace.lend(band.values.count) { codes in
          try blocks.state.read(into: &codes, at: band.values.lowerBound)
          try workspace.lend(band.values.count * 4) { values in
            Dequantize.tableRun(
              codes.bytes, table: blocks.map.rawSpan, group: blocks.block, scales: scales.rawSpan,
              into: &values)
            try file.write(values.bytes, at: offset + band.values.lowerBound * 4)
          }
        }
      }
    }
  }

  /// 32 bits to 8, rounded as a step of the optimizer would.
  func quantize() throws {
    let (entry, file, rules) = (entry, file, rules)
    for key in entry.stateKeys {
      guard let state = entry.parts[key] else { continue }
      let isFirst = key == "state1"
      let map = isFirst ? DynamicMap.signed : DynamicMap.unsigned
      let quantizer = StateQuantizer(map: map, keepsSign: isFirst, rules: rules)
      let block = BlockwiseState.standardBlock
      let stacks = entry.stacks(of: key)
      let blocks = entry.count.dividedRoundingUp(by: block)
      let offset = try place(state.name, .u8, state.shape)
      let scales = Mutex([Float](repeating: 0, count: stacks * blocks))
      let shared = try sharedScale(state, stacks, block, quantizer)
      let bands = StateBands(count: entry.count, stacks: stacks, block: block)
      try parallelBands(bands.bands, threads: threads) { index, workspace in
        let band = bands.band(index)
        let values = try Self.floats(state, band.values, workspace)
        var own = quantizer.scales(values, block: block)
        for (place, number) in band.blocks.enumerated() {
          let slot = StateBlocks.scaleIndex(
            number, stack: band.stack, count: entry.count, block: block, rules: rules)
          if let shared, slot == shared.slot { own[place] = shared.scale }
          scales.withLock { $0[slot] = own[place] }
        }
        let codes = quantizer.codes(values, absmax: own, block: block)
        try file.write(codes, at: offset + band.values.lowerBound)
      }
      let number = key.suffix(1)
      let dimensions = stacks == 2 ? [2, blocks] : [blocks]
      try append("absmax\(number)", scales.withLock { $0 }, dimensions)
      try append("qmap\(number)", map, [256])
    }
  }

  /// The one scale of the last block of the first stack and the first of the second, where the
  /// kernels look for both at one place.
  private func sharedScale(
    _ state: Tensor, _ stacks: Int, _ block: Int, _ quantizer: StateQuantizer
  ) throws -> (slot: Int, scale: Float)? {
    guard stacks == 2, rules == .cuda, entry.count % block != 0 else { return nil }
    let slot = entry.count / block
    let workspace = Workspace()
    let last = try Self.floats(state, slot * block..<entry.count, workspace)
    let first = try Self.floats(
      state, entry.count..<entry.count + min(block, entry.count), workspace)
    return (slot, quantizer.scale(last + first))
  }

  private static func floats(
    _ state: Tensor, _ range: Range<Int>, _ workspace: Workspace
  ) throws -> [Float] {
    try workspace.lend(range.count * 4) { bytes in
      try state.read(into: &bytes, at: range.lowerBound * 4)
      let span = bytes.bytes
      let values = (0..<range.count).map { span.float32(at: $0) }
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        throw Failure(
          .cannotRepresent, at: "\(state.place), element \(range.lowerBound + index)",
          "8-bit states hold finite numbers only", found: "\(values[index])", rule: "BNBO-8")
      }
      return values
    }
  }

  private func append(_ key: String, _ values: [Float], _ dimensions: [Int]) throws {
    guard let shape = Shape(dimensions) else { return }
    let offset = try place(entry.path(of: key), .f32, shape)
    try file.write(values.rawSpan, at: offset)
  }
}
