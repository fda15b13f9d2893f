import Kernels
import TensorCore

@testable import Models

/// Configs of tiny models, and weights for them that are made as they are asked for.
enum TinyModel {
  static let llama = JSONObject([
    "architectures": ["LlamaForCausalLM"], "vocab_size": 11, "hidden_size": 8,
    "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 16,
  ])
  static let opt = JSONObject([
    "architectures": ["OPTForCausalLM"], "vocab_size": 11, "hidden_size": 8, "ffn_dim": 12,
    "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16,
  ])

  static func blueprint(_ config: JSONObject) throws -> Blueprint {
    let fields = ConfigFields(object: config, path: "config.json")
    return try Architecture.find(fields).makeBlueprint(fields, [])
  }

  static func model(_ config: JSONObject, _ weights: TinyWeights) throws -> CausalModel {
    try CausalModel(
      config: config, path: "config.json", weights: weights, compute: ReferenceCompute())
  }
}

/// Weights of a blueprint, some of them changed.
struct TinyWeights: WeightProvider {
  let path = "tiny"
  var names: Set<String>
  var shapes: [String: (rows: Int, columns: Int)]
  var vectors: [String: [Float]] = [:]

  init(_ config: JSONObject) throws {
    let blueprint = try TinyModel.blueprint(config)
    var matrices = blueprint.allMatrices([])
    if !blueprint.isTied { matrices.append(blueprint.head) }
    names = blueprint.tensorNames([])
    shapes = Dictionary(
      matrices.map { ($0.tensorName, ($0.rows, $0.columns)) }, uniquingKeysWith: { $1 })
    for matrix in matrices {
      if let name = matrix.biasName { vectors[name] = .init(repeating: 0.1, count: matrix.rows) }
    }
    for norm in blueprint.blocks.flatMap(\.norms) + [blueprint.finalNorm].compactMap(\.self) {
      for name in norm.tensorNames { vectors[name] = .init(repeating: 1, count: norm.width) }
    }
  }

  func matrix(_ name: String, slice: LinearPlan.Slice?, isTransposed: Bool) throws
    -> any WeightSource
  {
    guard let (rows, columns) = shapes[name] else {
      throw Failure(.malformed, at: name, "missing")
    }
    var state = UInt64(truncatingIfNeeded: name.utf8.reduce(7) { $0 &* 31 &+ Int($1) })
    let values = (0..<rows * columns).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int64(bitPattern: state) >> 40) / Float(1 << 23)
    }
    return MatrixWeight(
      name: name, matrix: Matrix(rows: rows, columns: columns, values: values))
  }

  func vector(_ name: String) throws -> [Float] {
    guard let values = vectors[name] else { throw Failure(.malformed, at: name, "missing") }
    return values
  }
}
