import Codecs
import TensorCore

/// Compares what the config declares with what the tensors are (GPTQ-24, AWQ-12): loaders believe
/// the config, so a checkpoint in which they disagree loads wrong or not at all.
struct ConfigReview {
  let table: TensorTable
  let config: ModelConfig
  let layers: [LayerClaim]
  let failed: Set<String>

  var findings: [Finding] {
    [undeclared, missing, otherLayout, excluded, mixture].compactMap(\.self)
  }

  private func finding(
    _ what: String, expected: String, found: String, names: [String],
    severity: Finding.Severity = .error
  ) -> Finding {
    let failure = Failure(
      .malformed, at: config.model?.name ?? "config.json", what, expected: expected,
      found: found + Self.listing(names),
      rule: rule)
    return Finding(severity, failure, names: names)
  }

  /// The rule of the declared layout's page on configs that do not fit their tensors.
  private var rule: String {
    config.scheme.flatMap { Codecs.named($0.layout)?.configRule } ?? GPTQ.v1.configRule
  }

  /// The first few of many names.
  private static func listing(_ names: [String]) -> String {
    guard !names.isEmpty else { return "" }
    let shown = names.prefix(4).joined(separator: ", ")
    return names.count > 4 ? ": \(shown) and \(names.count - 4) more" : ": \(shown)"
  }

  /// Packed tensors under a config that speaks of none.
  private var undeclared: Finding? {
    guard config.scheme == nil, config.method == nil, config.findings.isEmpty, !layers.isEmpty
    else { return nil }
    return finding(
      "no quantization config declares the packed layers", expected: "a quantization_config",
      found: "\(layers.count) packed layers", names: layers.map(\.name))
  }

  /// A declared quantization of which the tensors have nothing.
  private var missing: Finding? {
    guard let scheme = config.scheme, layers.isEmpty, failed.isEmpty, !table.names.isEmpty else {
      return nil
    }
    let dense = denseMatrices.map(\.module)
    return finding(
      "the config declares \(scheme.summary), the tensors hold none of it",
      expected: "packed layers", found: "\(dense.count) dense matrices", names: dense)
  }

  /// Layers in another layout than the config names.
  private var otherLayout: Finding? {
    guard let scheme = config.scheme else { return nil }
    let others = layers.filter { layer in
      Codecs.named(layer.layout).map { !$0.dialects.contains(scheme.layout) } ?? true
    }
    guard let first = others.first else { return nil }
    return finding(
      "layers are stored in another layout than the config names", expected: scheme.layout,
      found: "\(others.count) layers in \(first.layout)", names: others.map(\.name))
  }

  /// Packed layers that the config says are dense.
  private var excluded: Finding? {
    guard let rules = config.scheme?.rules() else { return nil }
    let names = layers.map(\.name).filter { rules.settings(for: $0) == nil }
    guard !names.isEmpty else { return nil }
    return finding(
      "the config leaves packed layers out", expected: "dense weights",
      found: "\(names.count) packed layers", names: names)
  }

  /// Dense layers whose like in other blocks are packed, and that the config does not mention.
  private var mixture: Finding? {
    guard let scheme = config.scheme, !layers.isEmpty,
      Codecs.named(scheme.layout)?.habits.listsPackedModules ?? true
    else { return nil }
    let rules = scheme.rules()
    let kinds = Set(layers.map { Self.kind(of: $0.name) })
    let names = denseMatrices.map(\.module).filter {
      kinds.contains(Self.kind(of: $0)) && rules.settings(for: $0) != nil
    }
    guard !names.isEmpty else { return nil }
    return finding(
      "only some layers of a kind are packed", expected: "packed layers, as the config declares",
      found: "\(names.count) dense ones", names: names)
  }

  /// Two-dimensional `X.weight` tensors of floating point inside numbered blocks.
  private var denseMatrices: [(module: String, tensor: Tensor)] {
    let packed = Set(layers.flatMap { $0.parts.values.map(\.name) })
    return table.modules(with: "weight").compactMap { module in
      guard !packed.contains("\(module).weight"), let tensor = table["\(module).weight"],
        tensor.shape.rank == 2, tensor.dtype.isFloat,
        Self.kind(of: module) != module
      else { return nil }
      return (module, tensor)
    }
  }

  /// The module's path without its numbers: `model.layers.#.mlp.down_proj`.
  static func kind(of module: String) -> String {
    module.split(separator: ".").map { Int($0) == nil ? String($0) : "#" }.joined(separator: ".")
  }
}

extension Scheme {
  /// Whether the config is one of AWQ's family, which share a dialect and its rules.
  var isAWQ: Bool { layout.hasPrefix("awq") || layout == "llm_awq" }
}
