import Checkpoints

/// Fills tensors of a checkpoint with random numbers that a model stays finite with: codes of linear layers,
/// whose outputs are about as large as their inputs, norms of 1 and biases of 0.
struct DrawnTensors {
  /// Columns that share a scale.
  let groupSize: Int
  private var random = RandomBytes()

  init(groupSize: Int) { self.groupSize = groupSize }

  /// The four parts of a 4-bit GPTQ layer, or its weight in F16 where it can't be packed.
  func parts(_ module: String, rows: Int, columns: Int) -> [TensorInfo] {
    let group = min(groupSize, columns)
    guard rows % 8 == 0, columns % 8 == 0, columns % group == 0 else {
      return [dense(module + ".weight", [rows, columns])].compactMap(\.self)
    }
    let groups = columns / group
    return [
      TensorInfo(name: "\(module).qweight", dtype: .i32, shape: [columns / 8, rows]),
      TensorInfo(name: "\(module).qzeros", dtype: .i32, shape: [groups, rows / 8]),
      TensorInfo(name: "\(module).scales", dtype: .f16, shape: [groups, rows]),
      TensorInfo(name: "\(module).g_idx", dtype: .i32, shape: [columns]),
    ].compactMap(\.self)
  }

  /// nil where it would be too large.
  func dense(_ name: String, _ dimensions: [Int]) -> TensorInfo? {
    Shape(dimensions).flatMap { TensorInfo(name: name, dtype: .f16, shape: $0) }
  }

  /// Writes all tensors into a folder, with the index that several files need.
  mutating func write(
    _ tensors: [TensorInfo], to folder: OutputFolder, maxShardBytes: Int
  ) throws -> ShardLayout {
    let shards = try ShardLayout(
      tensors: tensors, metadata: ["format": "pt"], maxShardBytes: maxShardBytes)
    for shard in shards.shards {
      let file = try folder.makeFile(shard.name)
      try file.write(shard.layout.header, at: 0)
      for place in shard.layout.placements { try fill(place.info, at: place.offset, of: file) }
      try file.commit(byteCount: shard.layout.byteCount, sync: false)
    }
    if let index = shards.index { try folder.write(index, to: shards.indexName, sync: false) }
    return shards
  }

  private mutating func fill(_ info: TensorInfo, at offset: Int, of file: OutputFile) throws {
    let step = 4 << 20
    for start in stride(from: 0, to: info.byteCount, by: step) {
      var block = AlignedBytes(count: min(step, info.byteCount - start))
      block.withMutableBytes(count: block.count) { fill(info, from: start, &$0) }
      try file.write(block.bytes, at: offset + start)
    }
  }

  private mutating func fill(_ info: TensorInfo, from start: Int, _ bytes: inout MutableRawSpan) {
    if info.dtype == .f16 { return fillHalves(info, &bytes) }
    for index in 0..<bytes.byteCount / 4 {
      let word: UInt32 =
        if info.name.hasSuffix(".g_idx") {
          UInt32((start / 4 + index) / groupSize)
        } else if info.name.hasSuffix(".qzeros") {
          0x7777_7777
        } else {
          UInt32(truncatingIfNeeded: random.next())
        }
      bytes.set(word, at: index)
    }
  }

  private mutating func fillHalves(_ info: TensorInfo, _ bytes: inout MutableRawSpan) {
    let isVector = info.shape.rank == 1
    let isScale = info.name.hasSuffix(".scales")
    let constant: UInt16? =
      isVector ? (info.name.hasSuffix(".weight") ? Float16(1).bitPattern : 0) : nil
    let columns = isScale ? info.shape[0] * groupSize : info.shape.dimensions.last ?? 1
    // Codes spread by 4.6, halves by 1.5 of their power of two.
    let spread = Float(columns).squareRoot() * (isScale ? 7 : 1.5)
    let exponent = Float16(1 / spread).binade.bitPattern
    for index in 0..<bytes.byteCount / 2 {
      let drawn = UInt16(truncatingIfNeeded: random.next())
      let half = exponent | drawn & 0x3FF | (isScale ? 0 : drawn & 0x8000)
      bytes.set(constant ?? half, at: index)
    }
  }
}

/// SplitMix64 from a fixed seed: the same bytes every time.
struct RandomBytes {
  private var state: UInt64 = 1

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
