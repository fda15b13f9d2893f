import Codecs
import Containers
import Kernels
import TensorCore
import TestKit

/// A checkpoint as its writer saved it, with what the writer's own code reads out of it.
struct Golden: CustomStringConvertible, Sendable {
  let path: String
  let tensors: [Tensor]
  let expected: [String: Tensor]
  let codec: any Codec
  let scheme: Scheme

  var description: String { path.fileName }

  init(_ path: String) throws {
    self.path = path
    tensors = try ShardedTensors(opening: path).tensors
    let known = try ShardedTensors(opening: path + "/expected.safetensors").tensors
    expected = Dictionary(uniqueKeysWithValues: known.map { ($0.name, $0) })
    let config = try JSON(
      parsing: FileSystem.contents(of: path + "/config.json", limit: 1 << 20), at: path)
    let declared = config["quantization_config"]?.object ?? JSONObject()
    for codec in Codecs.all {
      guard let scheme = try codec.scheme(from: declared) else { continue }
      (self.codec, self.scheme) = (codec, scheme)
      return
    }
    throw Failure(.unsupported, at: path, "no codec reads the config")
  }

  /// The trimmed checkpoints among the fixtures of a layout.
  static func fixtures(_ layout: String) throws -> [Golden] {
    try Fixtures.paths(in: "\(layout)/golden").filter {
      FileSystem.kind(of: $0 + "/config.json") == .file
    }.map(Golden.init)
  }

  /// Layers the writer's own code was asked about.
  var layerNames: [String] {
    expected.keys.filter { $0.hasPrefix("part:") && $0.hasSuffix(".codes") }.map {
      String($0.dropFirst("part:".count).dropLast(".codes".count))
    }.sorted()
  }

  func open(_ layer: String) throws -> any PackedLayer {
    try Opened.layer(codec, tensors, named: layer, scheme: scheme)
  }

  /// Layers whose weights the writer's own code decoded.
  var decodedNames: [String] {
    expected.keys.filter { $0.hasPrefix("dequant:") }.map {
      String($0.dropFirst("dequant:".count).dropLast(".weight".count))
    }.filter { name in tensors.contains { $0.name.hasPrefix(name + ".") } }.sorted()
  }

  func tensor(_ name: String) -> Tensor? { tensors.first { $0.name == name } }
}

/// What a writer's own code reads out of one layer: `[row][column]` and `[row][group]`.
struct Expected {
  let codes: [UInt8]
  let zeros: [UInt16]
  let scales: [Float]
  /// Added terms.
  let offsets: [Float]
  let groupIndex: [Int32]?
  let weights: [Float]?

  init(_ golden: Golden, _ layer: String) throws {
    func part(_ name: String) throws -> [UInt8]? {
      try golden.expected["part:\(layer).\(name)"]?.content()
    }
    codes = try part("codes") ?? []
    zeros = try (part("zeros") ?? []).halves
    scales = try floats(of: part("scales") ?? [])
    offsets = try floats(of: part("biases") ?? [])
    groupIndex = try part("g_idx")?.words.map { Int32(bitPattern: $0) }
    weights = try golden.expected["dequant:\(layer).weight"].map { floats(of: try $0.content()) }
  }
}

extension Tensor {
  func content() throws -> [UInt8] {
    let block = try contents()
    return block.bytes.array
  }
}

extension [UInt8] {
  var halves: [UInt16] {
    stride(from: 0, to: count, by: 2).map { UInt16(self[$0]) | UInt16(self[$0 + 1]) << 8 }
  }

  var words: [UInt32] {
    stride(from: 0, to: count, by: 4).map { start in
      (0..<4).reduce(0) { $0 | UInt32(self[start + $1]) << UInt32($1 * 8) }
    }
  }
}
