import Checkpoints
import Containers
import TensorCore
import TestKit

/// A small checkpoint a test puts together and writes into a folder of its own.
struct Model {
  var tensors: [(info: TensorInfo, bytes: [UInt8])] = []
  var metadata = ["format": "pt"]
  /// `config.json`, word for word.
  var config: String?
  /// Other files by their paths.
  var others: [String: String] = [:]

  mutating func add(_ name: String, _ dtype: DType, _ dimensions: [Int], _ bytes: [UInt8]) {
    guard let shape = Shape(dimensions),
      let info = TensorInfo(name: name, dtype: dtype, shape: shape), info.byteCount == bytes.count
    else { preconditionFailure("the test's tensor \(name) is wrong") }
    tensors.append((info, bytes))
  }

  /// A 4-bit version 1 layer of 32 outputs, its zero points 8 and its scales 1, in groups of
  /// `groupSize`; its codes count up from `seed`.
  mutating func addGPTQ(_ name: String, columns: Int = 64, groupSize: Int = 32, seed: UInt8 = 0) {
    let groups = columns.dividedRoundingUp(by: groupSize)
    add(
      "\(name).qweight", .i32, [columns / 8, 32],
      (0..<columns * 16).map { UInt8(truncatingIfNeeded: $0) &+ seed })
    add("\(name).qzeros", .i32, [groups, 4], [UInt8](repeating: 0x77, count: groups * 16))
    add(
      "\(name).scales", .f16, [groups, 32],
      (0..<groups * 32).flatMap { _ in [0x00, 0x3C] as [UInt8] })
    let index = (0..<columns).flatMap { [UInt8($0 / groupSize), 0, 0, 0] as [UInt8] }
    add("\(name).g_idx", .i32, [columns], index)
  }

  /// So many 4-bit layers of different codes, a norm, and files beside them.
  static func queries(layers: Int, columns: Int) -> Model {
    var model = Model()
    for layer in 0..<layers {
      model.addGPTQ("model.layers.\(layer).q_proj", columns: columns, seed: UInt8(layer))
    }
    model.addDense("model.norm.weight", [256])
    model.config = Model.gptqConfig()
    model.others = ["tokenizer.json": "{}"]
    return model
  }

  mutating func addDense(_ name: String, _ dimensions: [Int], seed: UInt8 = 1) {
    let count = dimensions.reduce(1, *)
    add(
      name, .f16, dimensions, (0..<count).flatMap { [UInt8(truncatingIfNeeded: $0) &+ seed, 0x30] })
  }

  func write(to folder: String) throws {
    try FileSystem.makeFolder(folder)
    let layout = try SafetensorsLayout(tensors: tensors.map(\.info), metadata: metadata)
    let bytes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.info.name, $0.bytes) })
    let data = layout.placements.flatMap { bytes[$0.info.name] ?? [] }
    try Files.write(layout.header + data, to: folder + "/model.safetensors")
    if let config { try Files.write(config, to: folder + "/config.json") }
    for (path, text) in others {
      var parent = folder
      for part in path.folderName.split(separator: "/") where part != "." {
        parent += "/" + part
        if FileSystem.kind(of: parent) == nil { try FileSystem.makeFolder(parent) }
      }
      try Files.write(text, to: folder + "/" + path)
    }
  }

  static func gptqConfig(groupSize: Int = 32, more: String = "") -> String {
    """
    {"model_type": "llama", "quantization_config": {"bits": 4, "group_size": \(groupSize), \
    "desc_act": false, "quant_method": "gptq"\(more)}}
    """
  }
}
