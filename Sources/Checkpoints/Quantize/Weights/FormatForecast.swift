internal import Codecs
internal import Kernels
internal import TensorCore

/// What a layout will hold, known from the settings alone: before anything is computed.
public struct FormatForecast: Sendable {
  public let name: String
  /// Bytes of the packed tensors.
  public let byteCount: Int
  /// What it takes to fit the layout, such as groups that are split.
  public let changes: [FittedLayer.Change]
  /// What will become of each tensor of the source. Tensors that AWQ may fold scales into count as converted
  /// into themselves.
  public internal(set) var fates: [SourceFate]

  /// Throws `cannotRepresent` naming each layer that the layout can't hold, or what its config can't say.
  init(
    _ codec: any Codec, _ modules: QuantizedModules, _ quantization: WeightQuantization,
    of source: Checkpoint, _ planned: PlannedFates, _ options: ConversionOptions
  ) throws {
    let workspace = Workspace()
    let fitter = LayerFitter(codec: codec, options: options)
    var fitted: [FittedLayer] = []
    var refused: [LayerRefusal] = []
    for module in modules.modules {
      let layer = PredictedLayer(
        module, scaleType: quantization.scaleType, lowestZero: quantization.lowestZero)
      switch try fitter.fit(layer, workspace) {
      case .success(let layer): fitted.append(layer)
      case .failure(let refusal): refused.append(refusal)
      }
    }
    if let first = refused.first {
      throw Failure(
        .cannotRepresent, at: source.path,
        "\(codec.name) can't hold \(refused.count) of \(modules.modules.count) layers so",
        rule: first.refusal.rule,
        remedy: "nothing was computed; \(first.refusal.remedyOfQuantizing(codec))",
        reasons: refused.reasons(\.refusal.reason))
    }
    let facts = try fitted.map { try LayerFacts(of: $0.fitted, workspace) }
    let scheme = TargetScheme(source: source, target: codec, facts: facts).scheme
    _ = try codec.config(for: codec.completed(scheme))
    name = codec.name
    changes = fitted.changes
    var made: [String: [TensorInfo]] = [:]
    for (module, layer) in zip(modules.modules, fitted) {
      made[module.weight.name] = try codec.parts(of: layer.fitted, options: options.encoding)
        .map(\.info)
    }
    byteCount = made.values.joined().reduce(0) { $0 + $1.byteCount }
    fates = try planned.fates(made, options)
  }
}

extension Refusal {
  /// What would work where the layer is not made yet, in the options of that verb.
  fileprivate func remedyOfQuantizing(_ codec: any Codec) -> String {
    if isOfOrder {
      return
        "instead of --desc-act, --act-group-aware (the default) takes inputs in order and needs "
        + "no g_idx; or --format gptq, and then convert --to \(codec.name) --rest dense"
    }
    if remedy == "--to dense" { return "--skip leaves layers dense" }
    if remedy.hasPrefix("--to ") { return "--format " + remedy.dropFirst(5) }
    return remedy.hasSuffix(" scales") ? "--scale-dtype: \(remedy)" : remedy
  }
}

extension WeightQuantization {
  /// Version 1 of GPTQ has no safe form for a zero point of 0 (GPTQ-11).
  var lowestZero: Int { formats.contains { $0.name == GPTQ.v1.name } ? 1 : 0 }
}
