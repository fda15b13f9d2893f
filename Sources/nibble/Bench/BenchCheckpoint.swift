import ArgumentParser
import Checkpoints

/// Writes a checkpoint of random numbers in the shapes of a 7B model, for measuring.
struct BenchCheckpoint: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint", abstract: "Write a synthetic GPTQ checkpoint.")

  @Option(name: .shortAndLong, help: "The folder to write.")
  var output: String

  @Option(help: "About how many bytes, such as 2GB.")
  var size = ByteSize(bytes: 2_000_000_000)

  @Option(help: "Tensor bytes a file may hold.")
  var maxShardSize = ByteSize(bytes: 5_000_000_000)

  @Option(help: "Columns that share a scale.")
  var groupSize = 128

  func run() throws {
    let block = try tensors(ofBlock: 0).reduce(0) { $0 + $1.byteCount }
    let blocks = max(1, size.bytes / block)
    let tensors = try (0..<blocks).flatMap { try self.tensors(ofBlock: $0) }
    let shards = try ShardLayout(
      tensors: tensors, metadata: ["format": "pt"], maxShardBytes: maxShardSize.bytes)
    let folder = try OutputFolder(path: output, replacing: false)
    var random = RandomBytes()
    for shard in shards.shards {
      let file = try folder.makeFile(shard.name)
      try file.write(shard.layout.header, at: 0)
      for place in shard.layout.placements {
        try fill(place.info, at: place.offset, of: file, &random)
      }
      try file.commit(byteCount: shard.layout.byteCount, sync: false)
    }
    if let index = shards.index { try folder.write(index, to: shards.indexName, sync: false) }
    let config = try JSONObject([
      "architectures": ["LlamaForCausalLM"], "model_type": "llama",
      "quantization_config": .object(Codecs.named("gptq")!.config(for: scheme)),
    ])
    let text = JSON.object(config).text(indent: 2)
    try folder.write(Array(text.utf8), to: "config.json", sync: false)
    try folder.finish(sync: false)
    Terminal.print("\(output): \(blocks) blocks, \(Words.bytes(shards.totalSize))")
  }

  private var scheme: Scheme {
    Scheme(
      layout: "gptq", defaults: .init(bits: 4, groupSize: groupSize, symmetric: true),
      writer: "gptqmodel:7.7.0")
  }

  private func tensors(ofBlock block: Int) throws -> [TensorInfo] {
    let linears = [
      ("self_attn.q_proj", 4096, 4096), ("self_attn.k_proj", 4096, 4096),
      ("self_attn.v_proj", 4096, 4096), ("self_attn.o_proj", 4096, 4096),
      ("mlp.gate_proj", 4096, 11008), ("mlp.up_proj", 4096, 11008), ("mlp.down_proj", 11008, 4096),
    ]
    return linears.flatMap { name, inputs, outputs -> [TensorInfo] in
      let module = "model.layers.\(block).\(name)"
      let groups = inputs / groupSize
      return [
        TensorInfo(name: "\(module).qweight", dtype: .i32, shape: [inputs / 8, outputs]),
        TensorInfo(name: "\(module).qzeros", dtype: .i32, shape: [groups, outputs / 8]),
        TensorInfo(name: "\(module).scales", dtype: .f16, shape: [groups, outputs]),
        TensorInfo(name: "\(module).g_idx", dtype: .i32, shape: [inputs]),
      ].compactMap(\.self)
    }
  }

  private func fill(
    _ info: TensorInfo, at offset: Int, of file: OutputFile, _ random: inout RandomBytes
  ) throws {
    let step = 4 << 20
    for start in stride(from: 0, to: info.byteCount, by: step) {
      var block = AlignedBytes(count: min(step, info.byteCount - start))
      block.withMutableBytes(count: block.count) { bytes in
        if info.name.hasSuffix(".g_idx") {
          for index in 0..<bytes.byteCount / 4 {
            bytes.set(UInt32((start / 4 + index) / groupSize), at: index)
          }
        } else if info.name.hasSuffix(".qzeros") {
          for index in 0..<bytes.byteCount / 4 { bytes.set(UInt32(0x7777_7777), at: index) }
        } else if info.name.hasSuffix(".scales") {
          for index in 0..<bytes.byteCount / 2 {
            bytes.set(UInt16(0x1C00 | UInt16(random.next() & 0x3FF)), at: index)
          }
        } else {
          for index in 0..<bytes.byteCount / 4 {
            bytes.set(UInt32(truncatingIfNeeded: random.next()), at: index)
          }
        }
      }
      try file.write(block.bytes, at: offset + start)
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
