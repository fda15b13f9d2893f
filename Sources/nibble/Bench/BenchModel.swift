import ArgumentParser
import Checkpoints

/// Writes a model of random weights that runs: OPT, LLaMA or Mixtral in any size, and windows of ids to
/// calibrate it on.
struct BenchModel: ParsableCommand {
  enum Family: String, CaseIterable, ExpressibleByArgument { case opt, llama, mixtral }

  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Write a dense model of random weights that runs.")

  @Option(help: "opt, llama or mixtral.")
  var architecture = Family.opt

  @Option(help: "Decoder blocks.")
  var layers = 12

  @Option(help: "Width of the model.")
  var hiddenSize = 768

  @Option(help: "Width of the MLP.")
  var intermediateSize = 3072

  @Option(help: "Attention heads.")
  var heads = 12

  @Option(help: "Heads of keys and values; as many as heads by default.")
  var kvHeads: Int?

  @Option(help: "Experts of a mixtral, of which two are chosen.")
  var experts = 8

  @Option(help: "Tokens of the vocabulary.")
  var vocabSize = 50272

  @Option(help: "Positions of the model.")
  var positions = 2048

  @Option(help: "The type of its weights: f16, bf16 or f32.")
  var dtype = DenseType(argument: "f16")!

  @Option(help: "A file to write windows of random ids to.")
  var ids: String?

  @Option(help: "Windows of that file.")
  var numSamples = 32

  @Option(help: "Ids of a window.")
  var seqLen = 512

  @Option(name: .shortAndLong, help: "The folder to write.")
  var output: String

  func run() throws {
    let shards = try ShardLayout(
      tensors: tensors, metadata: ["format": "pt"], maxShardBytes: 5_000_000_000)
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
    let text = JSON.object(config).text(indent: 2)
    try folder.write(Array(text.utf8), to: "config.json", sync: false)
    try folder.finish(sync: false)
    try ids.map(writeIds)
    Terminal.print("\(output): \(layers) blocks, \(Words.bytes(shards.totalSize))")
  }

  /// Random numbers around 1 for norms' weights, around 0 with a deviation of 0.02 for all else; every 32nd
  /// channel of embeddings is eight times as large, as some channels of trained models are.
  private func fill(
    _ info: TensorInfo, at offset: Int, of file: OutputFile, _ random: inout RandomBytes
  ) throws {
    let middle: Float = info.name.contains("norm") && info.name.hasSuffix("weight") ? 1 : 0
    let isTable = info.name.contains("embed_")
    let size = dtype.dtype.bits / 8
    let step = 1 << 20
    for start in stride(from: 0, to: info.byteCount / size, by: step) {
      let values = (start..<min(start + step, info.byteCount / size)).map { index -> Float in
        let loud: Float = isTable && index % hiddenSize % 32 == 31 ? 8 : 1
        return middle + random.normal() * 0.02 * loud
      }
      var block = AlignedBytes(count: values.count * size)
      try block.withMutableBytes(count: block.count) { bytes in
        if size == 4 { return bytes.copy(from: values.rawSpan) }
        try FloatConversion.fromFloat32(dtype.dtype, values.rawSpan, into: &bytes)
      }
      try file.write(block.bytes, at: offset + start * size)
    }
  }

  private func writeIds(to path: String) throws {
    var random = RandomBytes()
    let windows = (0..<numSamples).map { _ in
      JSON.array((0..<seqLen).map { _ in .integer(Int(random.next() % UInt64(vocabSize))) })
    }
    let file = try OutputFile(path: path)
    let bytes = Array(JSON.array(windows).text().utf8)
    try file.write(bytes, at: 0)
    try file.commit(byteCount: bytes.count, sync: false)
  }
}

extension BenchModel {
  private func tensor(_ name: String, _ dimensions: Int...) -> TensorInfo {
    TensorInfo(name: name, dtype: dtype.dtype, shape: Shape(dimensions)!)!
  }

  private var tensors: [TensorInfo] {
    switch architecture {
    case .opt: optTensors
    case .llama, .mixtral: llamaTensors
    }
  }

  private var optTensors: [TensorInfo] {
    let root = "model.decoder"
    func norm(_ name: String) -> [TensorInfo] {
      [tensor("\(name).weight", hiddenSize), tensor("\(name).bias", hiddenSize)]
    }
    func linear(_ name: String, _ rows: Int, _ columns: Int) -> [TensorInfo] {
      [tensor("\(name).weight", rows, columns), tensor("\(name).bias", rows)]
    }
    let blocks = (0..<layers).flatMap { index -> [TensorInfo] in
      let path = "\(root).layers.\(index)"
      return ["q_proj", "k_proj", "v_proj", "out_proj"].flatMap {
        linear("\(path).self_attn.\($0)", hiddenSize, hiddenSize)
      } + norm("\(path).self_attn_layer_norm") + norm("\(path).final_layer_norm")
        + linear("\(path).fc1", intermediateSize, hiddenSize)
        + linear("\(path).fc2", hiddenSize, intermediateSize)
    }
    return [
      tensor("\(root).embed_tokens.weight", vocabSize, hiddenSize),
      tensor("\(root).embed_positions.weight", positions + 2, hiddenSize),
    ] + blocks + norm("\(root).final_layer_norm")
  }

  private var llamaTensors: [TensorInfo] {
    let keys = hiddenSize / heads * (kvHeads ?? heads)
    let blocks = (0..<layers).flatMap { index -> [TensorInfo] in
      let path = "model.layers.\(index)"
      return [
        tensor("\(path).self_attn.q_proj.weight", hiddenSize, hiddenSize),
        tensor("\(path).self_attn.k_proj.weight", keys, hiddenSize),
        tensor("\(path).self_attn.v_proj.weight", keys, hiddenSize),
        tensor("\(path).self_attn.o_proj.weight", hiddenSize, hiddenSize),
        tensor("\(path).input_layernorm.weight", hiddenSize),
        tensor("\(path).post_attention_layernorm.weight", hiddenSize),
      ] + feedForward(path)
    }
    return [tensor("model.embed_tokens.weight", vocabSize, hiddenSize)] + blocks + [
      tensor("model.norm.weight", hiddenSize), tensor("lm_head.weight", vocabSize, hiddenSize),
    ]
  }

  private func feedForward(_ path: String) -> [TensorInfo] {
    func gated(_ module: String, _ names: [String]) -> [TensorInfo] {
      [
        tensor("\(module).\(names[0]).weight", intermediateSize, hiddenSize),
        tensor("\(module).\(names[1]).weight", intermediateSize, hiddenSize),
        tensor("\(module).\(names[2]).weight", hiddenSize, intermediateSize),
      ]
    }
    guard architecture == .mixtral else {
      return gated("\(path).mlp", ["gate_proj", "up_proj", "down_proj"])
    }
    let module = "\(path).block_sparse_moe"
    return [tensor("\(module).gate.weight", experts, hiddenSize)]
      + (0..<experts).flatMap { gated("\(module).experts.\($0)", ["w1", "w3", "w2"]) }
  }

  private var config: JSONObject {
    let names: [Family: String] = [
      .opt: "OPTForCausalLM", .llama: "LlamaForCausalLM", .mixtral: "MixtralForCausalLM",
    ]
    let types: [DType: String] = [.f16: "float16", .bf16: "bfloat16", .f32: "float32"]
    var config = JSONObject([
      "architectures": .strings([names[architecture] ?? ""]),
      "model_type": .string(architecture.rawValue),
      "dtype": .string(types[dtype.dtype] ?? "float32"),
      "hidden_size": .integer(hiddenSize), "num_hidden_layers": .integer(layers),
      "num_attention_heads": .integer(heads), "vocab_size": .integer(vocabSize),
      "max_position_embeddings": .integer(positions), "bos_token_id": 1, "eos_token_id": 2,
    ])
    if architecture == .opt {
      for member in optConfig.members { config[member.key] = member.value }
      return config
    }
    config["intermediate_size"] = .integer(intermediateSize)
    config["num_key_value_heads"] = .integer(kvHeads ?? heads)
    config["hidden_act"] = "silu"
    config["rms_norm_eps"] = .real(1e-5)
    config["rope_theta"] = .real(10000)
    config["tie_word_embeddings"] = false
    if architecture == .mixtral {
      config["num_local_experts"] = .integer(experts)
      config["num_experts_per_tok"] = 2
      config["sliding_window"] = .null
    }
    return config
  }

  private var optConfig: JSONObject {
    JSONObject([
      "ffn_dim": .integer(intermediateSize), "word_embed_proj_dim": .integer(hiddenSize),
      "activation_function": "relu", "do_layer_norm_before": true, "enable_bias": true,
      "layer_norm_elementwise_affine": true, "tie_word_embeddings": true, "pad_token_id": 1,
      "dropout": .real(0), "attention_dropout": .real(0), "layerdrop": .real(0),
    ])
  }
}

extension RandomBytes {
  /// A number of a normal distribution, nearly: four uniform ones less their mean, with a deviation of 1.
  mutating func normal() -> Float {
    let bits = next()
    let sum = (0..<4).reduce(Int64(0)) { $0 + Int64(bits >> (16 * $1) & 0xFFFF) }
    return Float(sum - 2 * 65535) / 65536 * 1.7320508
  }
}
