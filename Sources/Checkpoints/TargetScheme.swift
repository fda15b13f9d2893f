import Codecs
import Kernels
import TensorCore

/// The scheme of a converted checkpoint, from what its layers are rather than from what the source
/// said of them.
struct TargetScheme {
  let source: Checkpoint
  let target: String
  let facts: [LayerFacts]

  var scheme: Scheme {
    let settings = settingsByLayer
    let defaults = mostCommon(settings.map(\.settings))
    let exceptions = settings.filter { $0.settings != defaults }.map {
      Scheme.Override(.exactly($0.name), $0.settings)
    }
    return Scheme(
      layout: target, defaults: defaults, overrides: exceptions + denseModules,
      quantizesHead: source.layers.contains { $0.name.split(separator: ".").last == "lm_head" },
      writer: "nibble:\(Release.version)", quantizer: quantizer)
  }

  /// Whoever quantized the source: its packer, unless that was only a converter as well.
  private var quantizer: String? {
    let scheme = source.config.scheme
    return scheme?.quantizer ?? scheme?.writer.flatMap { $0.hasPrefix("nibble:") ? nil : $0 }
  }

  private var settingsByLayer: [(name: String, settings: Scheme.Settings)] {
    let symmetric = facts.allSatisfy(\.isSymmetric)
    let actOrder = facts.contains { $0.form.grouping.isPermuted }
    let wholeRows = source.layers.allSatisfy { $0.groups == 1 }
    return source.layers.map { layer in
      let settings = Scheme.Settings(
        bits: layer.bits, groupSize: wholeRows ? -1 : layer.groupSize, symmetric: symmetric,
        actOrder: actOrder)
      return (layer.name, settings)
    }
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

  /// Dense matrices inside the blocks: loaders pack every linear layer that no rule leaves out.
  private var denseModules: [Scheme.Override] {
    var overrides: [Scheme.Override] = []
    for tensor in source.denseTensors {
      guard tensor.shape.rank == 2, tensor.dtype.isFloat, tensor.name.hasSuffix(".weight") else {
        continue
      }
      let module = String(tensor.name.dropLast(".weight".count))
      guard ConfigReview.kind(of: module) != module else { continue }
      let override = Scheme.Override(pattern(forDense: module), nil)
      if !overrides.contains(override) { overrides.append(override) }
    }
    return overrides
  }

  /// The module's name inside its block, `mlp.gate`, where that speaks of no packed layer: AutoAWQ
  /// looks for it in names that begin at the block. Otherwise the whole name.
  private func pattern(forDense module: String) -> ModulePattern {
    let parts = module.split(separator: ".")
    let name = parts.drop { Int($0) == nil }.dropFirst().joined(separator: ".")
    let isAmbiguous = name.isEmpty || source.layers.contains { $0.name.contains(name) }
    return isAmbiguous ? .exactly(module) : .contains(name)
  }
}
