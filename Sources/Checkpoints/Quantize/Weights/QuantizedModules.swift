internal import Codecs
internal import TensorCore

/// The linear layers of a dense checkpoint that are to be quantized, each with its settings.
struct QuantizedModules {
  /// One linear layer.
  struct Module: Sendable {
    let name: String
    let weight: Tensor
    /// Whether the weight is stored as `[inputs, outputs]`.
    let isTransposed: Bool
    let settings: Scheme.Settings
    /// The number of its block; nil for the head.
    let block: Int?

    /// Outputs and inputs, however the weight is stored.
    var rows: Int { weight.shape[isTransposed ? 1 : 0] }
    var columns: Int { weight.shape[isTransposed ? 0 : 1] }
    /// Columns of a group, at most a row.
    var groupSize: Int {
      settings.groupSize == -1 ? columns : min(settings.groupSize, columns)
    }
  }

  /// In the order of blocks, then of names; the head last.
  let modules: [Module]
  /// Linear layers that stay dense because the user named them.
  let skipped: [String]
  /// Linear layers that stay dense by themselves: heads and routers.
  let kept: [String]

  private static let routerNames: Set<String> = [
    "gate", "router", "shared_expert_gate", "wg", "router_proj",
  ]

  /// Linear layers by their names: two-dimensional weights inside numbered blocks, and those that are
  /// `known` to be linear. Throws `unsupported` where what is linear isn't told by names, or nothing is.
  init(
    of source: Checkpoint, _ quantization: WeightQuantization, known: Set<String> = []
  ) throws {
    try Self.checkExperts(source)
    var modules: [Module] = []
    var skipped: [String] = []
    var kept: [String] = []
    for tensor in source.denseTensors where LinearModules.isMatrix(tensor) {
      let name = String(tensor.name.dropLast(".weight".count))
      if LinearModules.isEmbedding(name) { continue }
      let isHead = LinearModules.isHead(name)
      let block = Self.block(of: name)
      guard isHead || block != nil || known.contains(name) else { continue }
      if isHead && !quantization.quantizesHead || Self.isRouter(name) {
        kept.append(name)
      } else if quantization.skips(name) {
        skipped.append(name)
      } else {
        modules.append(
          Module(
            name: name, weight: tensor, isTransposed: try Conv1D.holds(name, in: source),
            settings: quantization.settings(for: name), block: isHead ? nil : block))
      }
    }
    guard !modules.isEmpty else {
      throw Failure(
        skipped.isEmpty ? .unsupported : .usage, at: source.path,
        "there is no linear layer to quantize",
        expected: "two-dimensional float tensors named ….weight in numbered blocks",
        found: skipped.isEmpty ? "none" : "\(skipped.count), all skipped")
    }
    self.modules = modules.sorted {
      ($0.block ?? Int.max, $0.name) < ($1.block ?? Int.max, $1.name)
    }
    (self.skipped, self.kept) = (skipped, kept)
    try checkAsked(of: quantization, source)
  }

  /// Throws `usage` where an option speaks of no module.
  private func checkAsked(of quantization: WeightQuantization, _ source: Checkpoint) throws {
    if quantization.quantizesHead, !modules.contains(where: { $0.block == nil }) {
      throw Failure(
        .usage, at: "--quantize-head", "the model has no head of its own",
        expected: "a tensor lm_head.weight", found: "a head tied to the embeddings, or none")
    }
    if quantization.quantizesHead, Self.tiesHead(source) {
      throw Failure(
        .usage, at: "--quantize-head",
        "loaders take the embeddings for the head, whatever lies beside",
        expected: "tie_word_embeddings false", found: "a head tied to the embeddings")
    }
    let all = modules.map(\.name)
    for override in quantization.overrides
    where !all.contains(where: { override.modules.matchesPrefix(of: $0) }) {
      throw Failure(
        .usage, at: "--override", "the expression matches no linear layer",
        expected: "a module of \(source.path)", found: override.modules.text)
    }
    for pattern in quantization.skipped
    where !(skipped + kept).contains(where: { pattern.matchesPrefix(of: $0) }) {
      throw Failure(
        .usage, at: "--skip", "the expression matches no linear layer",
        expected: "a module of \(source.path)", found: pattern.text)
    }
  }

  /// As the config says, and where it doesn't, the habit of its family.
  private static func tiesHead(_ source: Checkpoint) -> Bool {
    if let isTied = source.config.model?.object["tie_word_embeddings"]?.bool { return isTied }
    return (try? source.blueprint().isTied) ?? false
  }

  private init(_ all: QuantizedModules, only modules: [Module]) {
    self.modules = modules
    (skipped, kept) = (all.skipped, all.kept)
  }

  /// Some of the modules.
  func only(_ modules: [Module]) -> QuantizedModules { QuantizedModules(self, only: modules) }

  /// Modules block by block, in order; the head is a block of its own behind them.
  var blocks: [[Module]] {
    var blocks: [[Module]] = []
    for module in modules {
      if let last = blocks.last?.last, last.block == module.block {
        blocks[blocks.count - 1].append(module)
      } else {
        blocks.append([module])
      }
    }
    return blocks
  }

  private static func isRouter(_ module: String) -> Bool {
    module.split(separator: ".").last.map { routerNames.contains(String($0)) } ?? false
  }

  /// The first number in a path: `model.layers.3.mlp.up_proj` is of block 3.
  static func block(of module: String) -> Int? {
    module.split(separator: ".").lazy.compactMap { Int($0) }.first
  }

  /// Experts in one tensor are told by no name of a linear layer.
  private static func checkExperts(_ source: Checkpoint) throws {
    let fused = source.denseTensors.first { tensor in
      tensor.shape.rank == 3 && tensor.dtype.isFloat
        && tensor.name.split(separator: ".").contains("experts")
    }
    guard let fused else { return }
    throw Failure(
      .unsupported, at: fused.place, "its experts lie in one tensor",
      expected: "a weight for each expert", found: "\(fused.shape)")
  }
}
