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
    var drawn = DrawnTensors(groupSize: groupSize)
    let block = tensors(ofBlock: 0, drawn).reduce(0) { $0 + $1.byteCount }
    let blocks = max(1, size.bytes / block)
    let folder = try OutputFolder(path: output, replacing: false)
    let shards = try drawn.write(
      (0..<blocks).flatMap { tensors(ofBlock: $0, drawn) }, to: folder,
      maxShardBytes: maxShardSize.bytes)
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

  private func tensors(ofBlock block: Int, _ drawn: DrawnTensors) -> [TensorInfo] {
    let linears = [
      ("self_attn.q_proj", 4096, 4096), ("self_attn.k_proj", 4096, 4096),
      ("self_attn.v_proj", 4096, 4096), ("self_attn.o_proj", 4096, 4096),
      ("mlp.gate_proj", 4096, 11008), ("mlp.up_proj", 4096, 11008), ("mlp.down_proj", 11008, 4096),
    ]
    return linears.flatMap { name, inputs, outputs in
      drawn.parts("model.layers.\(block).\(name)", rows: outputs, columns: inputs)
    }
  }
}
