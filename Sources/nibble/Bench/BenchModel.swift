import ArgumentParser
import Checkpoints

/// Writes a model of random numbers that runs: every tensor a config asks for, for measuring speed and memory.
struct BenchModel: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Write a synthetic model that runs, of any known architecture.",
    discussion: """
      Linear layers of blocks are packed in GPTQ's 4 bits; embeddings, heads, norms and routers are F16. Run it with \
      --input-ids, for it has no tokenizer; --ids makes windows to calibrate it on.
      """)

  @Option(help: "A config.json: the architecture and its sizes.")
  var config: String

  @Option(name: .shortAndLong, help: "The folder to write.")
  var output: String

  @Option(help: "Decoder blocks in place of those the config asks for.")
  var blocks: Int?

  @Option(help: "Columns that share a scale.")
  var groupSize = 128

  @Flag(help: "All weights in F16.")
  var dense = false

  @Option(help: "A file to write windows of random ids to.")
  var ids: String?

  @Option(help: "Windows of that file.")
  var numSamples = 32

  @Option(help: "Ids of a window.")
  var seqLen = 512

  @Option(help: "Tensor bytes a file may hold.")
  var maxShardSize = ByteSize(bytes: 5_000_000_000)

  func run() throws {
    let config = try readConfig()
    let blueprint = try Blueprint(config: config, path: self.config)
    var drawn = DrawnTensors(groupSize: groupSize)
    let folder = try OutputFolder(path: output, replacing: false)
    let shards = try drawn.write(
      tensors(of: blueprint, drawn), to: folder, maxShardBytes: maxShardSize.bytes)
    try folder.write(
      Array(JSON.object(config).text(indent: 2).utf8), to: "config.json", sync: false)
    try folder.finish(sync: false)
    try ids.map { try writeIds(to: $0, below: blueprint.vocabularySize) }
    Terminal.print(
      "\(output): \(blueprint.blocks.count) blocks, \(Words.bytes(shards.totalSize))")
  }

  private func readConfig() throws -> JSONObject {
    let bytes = try FileSystem.contents(of: config, limit: 1 << 20)
    guard var object = try JSON(parsing: bytes, at: config).object else {
      throw Failure(.malformed, at: config, "the config", expected: "an object")
    }
    if let blocks {
      let key = object["n_layer"] == nil ? "num_hidden_layers" : "n_layer"
      object[key] = .integer(blocks)
    }
    (object["dtype"], object["torch_dtype"]) = (nil, "float16")
    let scheme = Scheme(
      layout: "gptq", defaults: .init(bits: 4, groupSize: groupSize, symmetric: true),
      writer: "gptqmodel:7.7.0")
    object["quantization_config"] =
      dense ? nil : .object(try Codecs.named("gptq")!.config(for: scheme))
    return object
  }

  private func writeIds(to path: String, below count: Int) throws {
    var random = RandomBytes()
    let windows = (0..<numSamples).map { _ in
      JSON.array((0..<seqLen).map { _ in .integer(Int(random.next() % UInt64(count))) })
    }
    let file = try OutputFile(path: path)
    let bytes = Array(JSON.array(windows).text().utf8)
    try file.write(bytes, at: 0)
    try file.commit(byteCount: bytes.count, sync: false)
  }

  private func tensors(of blueprint: Blueprint, _ drawn: DrawnTensors) -> [TensorInfo] {
    let linears = Set(blueprint.blocks.flatMap { $0.inputGroups.joined().map(\.name) })
    let matrices = blueprint.matrices.flatMap { linear -> [TensorInfo] in
      guard dense || !linears.contains(linear.name) else {
        return drawn.parts(linear.name, rows: linear.rows, columns: linear.columns)
      }
      let sides = [linear.rows, linear.columns]
      return [drawn.dense(linear.tensorName, linear.isTransposed ? sides.reversed() : sides)]
        .compactMap(\.self)
    }
    return matrices + blueprint.vectors.compactMap { drawn.dense($0.name, [$0.count]) }
  }
}
