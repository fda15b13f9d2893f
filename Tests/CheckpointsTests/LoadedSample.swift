import Codecs
import Kernels
import TensorCore
import TestKit

@testable import Checkpoints

/// A block of a small llama as runtimes meet it, accepted by most of them until a test changes it.
struct LoadedSample {
  struct Layer {
    var rows: Int
    var columns: Int
    var bits = 4
    var groupSize = 32
    var zeros: ClosedRange<Int>? = 8...8
    var ambiguous = 0
    var isPermuted = false
    var scaleType = DType.f16
    var parts: Set<String> = ["qweight", "g_idx"]
    var layout: String
  }

  static let block = "model.layers.0."

  var layers: [String: Layer]
  var config: JSONObject
  var symmetric = true
  var actOrder = false
  var groupSize = 32
  var writer: String?
  var denseType = DType.f16
  var files = ["model.safetensors"]
  var dense: Set<String> = ["model.embed_tokens"]
  private let layout: String

  init(_ layout: String) {
    self.layout = layout
    let attention = Self.block + "self_attn."
    let mlp = Self.block + "mlp."
    let shapes = [
      attention + "q_proj": (256, 256), attention + "k_proj": (128, 256),
      attention + "v_proj": (128, 256), attention + "o_proj": (256, 256),
      mlp + "gate_proj": (512, 256), mlp + "up_proj": (512, 256), mlp + "down_proj": (256, 512),
    ]
    let parts: Set<String> = layout.hasPrefix("gptq") ? ["qweight", "g_idx"] : ["qweight"]
    layers = shapes.mapValues { Layer(rows: $0.0, columns: $0.1, parts: parts, layout: layout) }
    config = JSONObject([
      "num_attention_heads": 4, "num_key_value_heads": 2,
      "quantization_config": [
        "quant_method": layout == "awq" ? "awq" : "gptq", "bits": 4, "group_size": 32,
        "desc_act": false, "sym": true, "zero_point": true,
        "checkpoint_format": .string(layout), "config_groups": ["group_0": [:]],
      ],
    ])
  }

  mutating func setAll<Value>(_ key: WritableKeyPath<Layer, Value>, _ value: Value) {
    for name in layers.keys { layers[name]?[keyPath: key] = value }
  }

  /// A layer of the block by the end of its name.
  subscript(name: String) -> Layer {
    get { layers[Self.block + name] ?? Layer(rows: 32, columns: 32, layout: layout) }
    set { layers[Self.block + name] = newValue }
  }

  mutating func setKey(_ key: String, _ value: JSON?) {
    var object = config["quantization_config"]?.object ?? JSONObject()
    object[key] = value
    config["quantization_config"] = .object(object)
  }

  func model() throws -> LoadedModel {
    let settings = Scheme.Settings(
      bits: 4, groupSize: groupSize, symmetric: symmetric, actOrder: actOrder)
    return LoadedModel(
      layers: try layers.sorted { $0.key < $1.key }.map { try $0.value.loaded($0.key) },
      config: config, scheme: Scheme(layout: layout, defaults: settings, writer: writer),
      denseType: denseType, fileNames: files, denseModules: dense)
  }
}

extension LoadedSample.Layer {
  fileprivate func loaded(_ name: String) throws -> LoadedLayer {
    let size = groupSize == -1 ? columns : groupSize
    let groups = (0..<columns).map { Int32((columns - 1 - $0) / size) }
    let form = QuantizedForm(
      rows: rows, columns: columns, grid: .affine(bits: bits),
      grouping: isPermuted
        ? .map(groups: groups, count: columns.dividedRoundingUp(by: size)) : .columns(size: size),
      scaleType: scaleType, offset: .integer)
    let tensors = parts.compactMap { part -> (String, Tensor)? in
      TensorInfo(name: "\(name).\(part)", dtype: .i32, shape: [0]).map {
        (part, Tensor(info: $0, source: MemorySource([]), offset: 0))
      }
    }
    return LoadedLayer(
      claim: LayerClaim(
        name: name, layout: layout, rows: rows, columns: columns, bits: bits, groupSize: size,
        parts: Dictionary(uniqueKeysWithValues: tensors)),
      facts: LayerFacts(name: name, form: form, zeros: zeros, ambiguous: ambiguous))
  }
}
