import Codecs
import TensorCore

/// Rules that several runtimes have, each under a number of its own.
extension RuntimeRule {
  /// The keys a config in each dialect must have, each by one of several names.
  typealias Keys = [String: [[String]]]

  /// Loaders look for the quantization in `config.json` alone.
  static func declared(_ id: String) -> RuntimeRule {
    model(
      id, "the quantization is not declared where it is looked for",
      expected: "a quantization_config in config.json", remedy: "nibble convert writes one"
    ) { model in
      guard !model.layers.isEmpty, model.quantization == nil else { return nil }
      return model.config.members.isEmpty ? "no config.json" : "a config.json without one"
    }
  }

  static func keys(_ id: String, _ keys: Keys) -> RuntimeRule {
    model(
      id, "the quantization config lacks keys", expected: "every key that is read without a default"
    ) { model in
      guard let config = model.quantization, let layout = model.layers.first?.claim.layout,
        let needed = keys[layout]
      else { return nil }
      let missing = needed.filter { names in names.allSatisfy { config[$0] == nil } }
      return missing.isEmpty ? nil : "no \(missing.map { $0[0] }.joined(separator: ", "))"
    }
  }

  /// A layout in neither list is none that the rules speak of.
  static func layouts(
    _ id: String, read: Set<String>, refused: Set<String>, remedy: String
  ) -> [RuntimeRule] {
    let all = Set(Codecs.all.map(\.name)).union(refused)
    let unknown = all.subtracting(read).subtracting(refused)
    return [
      layers(
        id, of: refused, "the layout is not loaded",
        expected: read.sorted().joined(separator: ", "), remedy: remedy
      ) { layer, _ in layer.claim.layout },
      layers(
        id, .warning, of: unknown, "no rule speaks of the layout",
        expected: read.sorted().joined(separator: ", ")
      ) { layer, _ in layer.claim.layout },
    ]
  }

  /// The config's `sym` decides whether zero points are read at all.
  static func honestSymmetry(_ id: String) -> RuntimeRule {
    layers(
      id, of: Layouts.gptq, "the config says sym, and symmetric kernels do not read zero points",
      expected: "every zero point in the middle of the codes",
      remedy: "sym false, or the right checkpoint_format"
    ) { layer, model in
      guard model.settings(of: layer)?.symmetric == true, let zeros = layer.facts.zeros,
        !layer.facts.isSymmetric
      else { return nil }
      return "zero points \(zeros.lowerBound) to \(zeros.upperBound)"
    }
  }

  static func declaredActOrder(_ id: String) -> RuntimeRule {
    layers(
      id, of: Layouts.gptq, "g_idx is dropped where desc_act is false",
      expected: "desc_act true beside a permuted g_idx", remedy: "set desc_act"
    ) { layer, model in
      guard layer.form.grouping.isPermuted, model.settings(of: layer)?.actOrder == false else {
        return nil
      }
      return "a permuted g_idx"
    }
  }

  static func heads(_ id: String) -> RuntimeRule {
    RuntimeRule(
      id: id, severity: .error, what: "attention heads can't be shared out",
      expected: "heads that the ranks divide, and key-value heads that divide or are divided",
      remedy: "another --tp", dependsOnRanks: true
    ) { model, ranks in
      guard let heads = model.heads, heads > 0 else { return [] }
      if heads % ranks != 0 { return [Breach("\(heads) attention heads")] }
      guard let pairs = model.keyValueHeads, pairs > 0 else { return [] }
      return pairs % ranks == 0 || ranks % pairs == 0 ? [] : [Breach("\(pairs) key-value heads")]
    }
  }

  /// A group that lies on two ranks has its scale on one.
  static func wholeGroups(_ id: String) -> RuntimeRule {
    ranks(
      id, of: Layouts.integers, "the inputs of a rank are no whole groups",
      expected: "inputs of each rank that the group size divides",
      remedy: "nibble convert --pad-for-tp, --group-size, or another --tp"
    ) { layer, model, ranks in
      guard let inputs = model.inputs(of: layer, on: ranks) else {
        return "\(layer.claim.columns) inputs over \(ranks) ranks"
      }
      let size = layer.groupSize
      guard size > 0, inputs % size != 0 else { return nil }
      return "\(inputs) inputs in groups of \(size)"
    }
  }

  /// Words of codes and of zero points are not cut.
  static func wholeWords(_ id: String) -> RuntimeRule {
    ranks(
      id, of: Layouts.integers, "a rank would get parts of 32-bit words",
      expected: "outputs and inputs of each rank that fill words", remedy: "another --tp"
    ) { layer, model, ranks in
      guard let outputs = model.outputs(of: layer, on: ranks) else {
        return "\(layer.claim.rows) outputs over \(ranks) ranks"
      }
      let bits = layer.form.grid.bits
      // compressed-tensors packs codes along the inputs; only its zero points along the outputs.
      let packsOutputs = layer.claim.layout != "compressed-tensors" || !layer.facts.isSymmetric
      if packsOutputs, outputs * bits % 32 != 0 { return "\(outputs) outputs of \(bits) bits" }
      guard layer.claim.layout != "awq", let inputs = model.inputs(of: layer, on: ranks),
        inputs * bits % 32 != 0
      else { return nil }
      return "\(inputs) inputs of \(bits) bits"
    }
  }

  /// Loaders join these layers into one matrix with one set of parameters.
  static func uniformFused(_ id: String) -> RuntimeRule {
    let all = Set(Codecs.all.map(\.name))
    return layers(
      id, of: all, "layers that are joined into one differ",
      expected: "one layout, width, group size and g_idx for q, k and v, and for gate and up"
    ) { layer, model in
      guard let partners = LayerRole.partners(of: layer.name) else { return nil }
      for partner in partners where partner != layer.name {
        if let other = model.layer(named: partner) {
          if other.settings != layer.settings { return layer.settings }
          if other.form.grouping != layer.form.grouping { return "another g_idx" }
        } else if model.denseModules.contains(partner) {
          return "packed beside a dense \(LayerRole.lastName(of: partner))"
        }
      }
      return nil
    }
  }

  /// Experts of a block are one tensor at run time.
  static func uniformExperts(_ id: String) -> RuntimeRule {
    RuntimeRule(
      id: id, severity: .error, what: "experts of one block differ",
      expected: "one layout, width and group size for all experts", remedy: nil,
      dependsOnRanks: false
    ) { model, _ in
      let experts = Dictionary(grouping: model.layers.filter(\.isExpert)) { Self.block($0.name) }
      return experts.keys.sorted().flatMap { block -> [Breach] in
        let dense = model.denseModules.filter { $0.hasPrefix(block + ".experts.") }.sorted()
        let layers = experts[block] ?? []
        let isMixed = Set(layers.map(\.settings)).count > 1
        return (isMixed ? layers.map { Breach($0.name, $0.settings) } : [])
          + dense.map { Breach($0, "dense") }
      }
    }
  }

  private static func block(_ name: String) -> String {
    guard let position = name.firstRange(of: ".experts.") else { return name }
    return String(name[..<position.lowerBound])
  }

  static func head(_ id: String) -> RuntimeRule {
    let all = Set(Codecs.all.map(\.name))
    return layers(
      id, of: all.subtracting(["mlx"]), "a packed lm_head that the config does not declare",
      expected: "lm_head true in the quantization config"
    ) { layer, model in
      guard LayerRole.lastName(of: layer.name) == "lm_head", let scheme = model.scheme,
        !scheme.quantizesHead
      else { return nil }
      return "no such key"
    }
  }
}

extension LoadedModel {
  /// What the config says of a layer; nil where it says nothing.
  func settings(of layer: LoadedLayer) -> Scheme.Settings? {
    scheme?.rules().settings(for: layer.name)
  }
}
