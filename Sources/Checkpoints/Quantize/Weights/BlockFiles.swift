internal import Codecs
internal import Containers
internal import Kernels
internal import TensorCore

/// Blocks as they are quantized, a file each, in a folder that goes when the output is proven: what a run
/// that is cut short leaves for the next one.
///
/// Codes lie in the layout of compressed-tensors, which holds all that quantizers make.
struct BlockFiles {
  /// A dense tensor that a block has changed, such as a norm that scales were folded into.
  struct Changed: Sendable {
    let info: TensorInfo
    let bytes: [UInt8]
  }

  private static let recordsKey = "nibble.layers"

  private let folder: OutputFolder
  private let sync: Bool

  /// Goes on with the blocks of a run of the same fingerprint; nil begins anew. Throws `io`.
  init(for output: String, fingerprint: JSON?, sync: Bool) throws {
    folder = try OutputFolder(
      path: output + ".blocks", replacing: false, fingerprint: fingerprint)
    self.sync = sync
  }

  var path: String { folder.staging }

  private func name(_ block: Int) -> String {
    let digits = String(block)
    return "block-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits
      + ".safetensors"
  }

  /// Whether a block has been written before.
  func holds(_ block: Int) -> Bool { folder.completed.contains(name(block)) }

  func file(_ block: Int) throws -> ShardedTensors.File {
    try ShardedTensors.file(at: folder.staging + "/" + name(block))
  }

  /// Writes a block; it is whole or not there.
  func write(
    _ block: Int, layers: [MatrixLayer], changed: [Changed], records: [LayerRecord]
  ) throws {
    let parts = try layers.flatMap {
      try CompressedTensors().parts(of: $0, options: EncodingOptions())
    }
    let lines = JSON.array(records.map { .object($0.json) }).text()
    let layout = try SafetensorsLayout(
      tensors: parts.map(\.info) + changed.map(\.info),
      metadata: ["format": "pt", Self.recordsKey: lines])
    let file = try folder.makeFile(name(block))
    try file.write(layout.header, at: 0)
    let places = Dictionary(
      uniqueKeysWithValues: layout.placements.map { ($0.info.name, $0.offset) })
    let workspace = Workspace()
    for part in parts {
      try workspace.lend(part.info.byteCount) { bytes in
        try part.make(0..<part.rows, &bytes, workspace)
        try file.write(bytes.bytes, at: places[part.info.name] ?? 0)
      }
    }
    for tensor in changed { try file.write(tensor.bytes, at: places[tensor.info.name] ?? 0) }
    try file.commit(byteCount: layout.byteCount, sync: sync)
  }

  /// What was recorded of the layers of a block.
  static func records(of file: ShardedTensors.File) throws -> [LayerRecord] {
    let members = file.header.metadata.members
    guard let text = members.first(where: { $0.key == recordsKey })?.value.string else { return [] }
    let json = try JSON(parsing: Array(text.utf8), at: file.source.path)
    return (json.array ?? []).compactMap(LayerRecord.init)
  }

  /// Removes all blocks.
  func discard() { folder.discard() }
}

extension Checkpoint {
  /// A dense checkpoint with the layers of block files in the place of their weights.
  convenience init(
    _ dense: Checkpoint, blocks: [ShardedTensors.File], of modules: QuantizedModules,
    _ quantization: WeightQuantization, details: JSONObject
  ) throws {
    let replaced = Set(modules.modules.map(\.weight.name))
    let tensors = ShardedTensors(dense.tensors, replacing: replaced, with: blocks)
    let base = quantization.settings(for: "")
    let own = modules.modules.filter { $0.settings != base }
    let scheme = Scheme(
      layout: CompressedTensors().name, defaults: base,
      overrides: own.map { .init(.exactly($0.name), $0.settings) }
        + (modules.skipped + modules.kept).map { .init(.exactly($0), nil) },
      quantizesHead: quantization.quantizesHead, writer: "nibble:\(Release.version)",
      details: details)
    try self.init(
      path: dense.path, tensors: tensors,
      config: ModelConfig(dense.config, quantizedBy: scheme))
  }
}
