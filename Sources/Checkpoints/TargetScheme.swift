import Codecs
import Kernels
import TensorCore

/// The scheme of a converted checkpoint, from what its layers are rather than from what the source
/// said of them.
struct TargetScheme {
  let source: Checkpoint
  let target: any Codec
  let facts: [LayerFacts]
  /// Packed layers that are written dense.
  var rest: [any PackedLayer] = []

  var scheme: Scheme {
    let settings = settingsByLayer
    let defaults = mostCommon(settings.map(\.settings))
    let exceptions = settings.filter { $0.settings != defaults }.map {
      Scheme.Override(.exactly($0.name), $0.settings)
    }
    return Scheme(
      layout: target.name, defaults: defaults, overrides: exceptions + denseModules,
      quantizesHead: facts.contains { $0.name.split(separator: ".").last == "lm_head" },
      writer: "nibble:\(Release.version)", quantizer: quantizer,
      details: source.config.scheme?.details ?? JSONObject())
  }

  /// Whoever quantized the source: its packer, unless that was only a converter as well.
  private var quantizer: String? {
    let scheme = source.config.scheme
    return scheme?.quantizer ?? scheme?.writer.flatMap { $0.hasPrefix("nibble:") ? nil : $0 }
  }

  /// Whether the target's config is exact about every layer; others describe the model as a whole.
  private var isExact: Bool { target.describesEachLayer }

  private var settingsByLayer: [(name: String, settings: Scheme.Settings)] {
    let symmetric = facts.allSatisfy(\.isSymmetric)
    let actOrder = facts.contains { $0.form.grouping.isPermuted }
    let wholeRows =
      target.habits.spellsWholeRows && facts.allSatisfy { $0.form.groups == 1 }
    let known = source.config.scheme.flatMap { $0.layout == target.name ? $0.rules() : nil }
    let mixture = mixture
    return facts.map { layer in
      let declared = mixture?.settings(for: layer.name)
      let settings = Scheme.Settings(
        bits: layer.form.grid.bits, groupSize: wholeRows ? -1 : groupSize(of: layer),
        symmetric: isExact
          ? layer.isSymmetric : declared.map { $0.symmetric && layer.isSymmetric } ?? symmetric,
        actOrder: isExact
          ? layer.form.grouping.isPermuted
          : declared.map { $0.actOrder || layer.form.grouping.isPermuted } ?? actOrder,
        dialect: known?.settings(for: layer.name)?.dialect ?? JSONObject())
      return (layer.name, settings)
    }
  }

  /// What the source says of each layer, where it says that some have zero points, or an order of inputs, and others
  /// not, and the target's config can say so too.
  private var mixture: SchemeRules? {
    guard target.describesMixtures, let rules = source.config.scheme?.rules() else { return nil }
    let declared = facts.compactMap { rules.settings(for: $0.name) }
    let isMixed =
      Set(declared.map(\.symmetric)).count > 1 || Set(declared.map(\.actOrder)).count > 1
    return isMixed ? rules : nil
  }

  private func groupSize(of layer: LayerFacts) -> Int {
    if case .columns(let size) = layer.form.grouping { return size }
    return source.layer(named: layer.name)?.groupSize ?? layer.form.columns
  }

  private func mostCommon(_ all: [Scheme.Settings]) -> Scheme.Settings {
    var counts: [(settings: Scheme.Settings, count: Int)] = []
    for settings in all {
      if let index = counts.firstIndex(where: { $0.settings == settings }) {
        counts[index].count += 1
      } else {
        counts.append((settings, 1))
      }
    }
    let best = counts.max { $0.count < $1.count }?.settings
    return best ?? Scheme.Settings(bits: 4, groupSize: -1, symmetric: true)
  }

  /// Dense matrices, those outside of the blocks only where the target's config is exact: loaders
  /// take every linear layer for packed that no rule leaves out. None where the tensors alone tell.
  private var denseModules: [Scheme.Override] {
    guard target.habits.listsPackedModules else { return [] }
    var overrides: [Scheme.Override] = []
    for name in denseMatrices where name.hasSuffix(".weight") {
      let module = String(name.dropLast(".weight".count))
      guard isExact || ConfigReview.kind(of: module) != module else { continue }
      let override = Scheme.Override(isExact ? .exactly(module) : pattern(forDense: module), nil)
      if !overrides.contains(override) { overrides.append(override) }
    }
    return overrides
  }

  /// Names of the output's dense matrices.
  private var denseMatrices: [String] {
    let packed = Set(facts.map { "\($0.name).weight" })
    return source.denseTensors.filter {
      $0.shape.rank == 2 && $0.dtype.isFloat && !packed.contains($0.name)
    }.map(\.name)
      + rest.map(\.claim.dense.name)
  }

  /// The module's name inside its block, `mlp.gate`, where that speaks of no packed layer: AutoAWQ
  /// looks for it in names that begin at the block. Otherwise the whole name.
  private func pattern(forDense module: String) -> ModulePattern {
    let parts = module.split(separator: ".")
    let name = parts.drop { Int($0) == nil }.dropFirst().joined(separator: ".")
    let isAmbiguous = name.isEmpty || facts.contains { $0.name.contains(name) }
    return isAmbiguous ? .exactly(module) : .contains(name)
  }
}
