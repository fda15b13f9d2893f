public import Codecs
public import Containers
internal import Kernels
public import TensorCore

/// A conversion as a value: every tensor and file it will write, decided before anything is
/// written. It can be shown, encoded as JSON, and poured.
public struct ConversionPlan: Sendable {
  /// How one output tensor comes to be.
  public enum Recipe: Sendable {
    /// Byte for byte from the source.
    case copy(Tensor)
    /// A part of a packed layer.
    case encode(EncodedPart, layer: any PackedLayer)
    /// A dense tensor with zeros behind its rows or columns.
    case pad(EncodedPart)
    /// A dense tensor with its outputs in another order.
    case reorder(EncodedPart)
    /// Made from a dense weight by rounding.
    case quantize(EncodedPart, from: Tensor, with: Companion?)
  }

  /// One output tensor.
  public struct Output: Sendable {
    public let info: TensorInfo
    public let recipe: Recipe
  }

  public let source: Checkpoint
  public let options: ConversionOptions
  /// Layers that are encoded anew, in the form the target takes; none where tensors stay as they are.
  public let layers: [FittedLayer]
  /// Layers that the target can't hold, written dense on request.
  public let rest: [any PackedLayer]
  /// Sorted by name.
  public let outputs: [Output]
  public let shards: ShardLayout
  /// Config files with their new content.
  public let configs: [ConfigRewrite.File]
  public let sideFiles: SideFiles
  /// What becomes of every tensor of the source, in its order.
  public let fates: [SourceFate]
  /// Orders of inputs that are moved into the layers before them.
  public let folding: OrderFolding
  /// What is padded for tensor parallelism; nil where that was not asked for.
  public let padding: RankPadding?
  /// The config the output will have, without its dialect; nil where it has no quantization.
  public let scheme: Scheme?

  /// What is quantized; nil where nothing is.
  public let quantized: QuantizedSummary?

  /// What the user should know of the source, or of how it was taken.
  public let warnings: [Finding]

  /// Reads all scales and zero points (some 1/group_size of the numbers), and of the codes a sample
  /// that shows the version of asymmetric GPTQ.
  ///
  /// Throws `cannotRepresent` naming every layer the target can't hold, `malformed` where the
  /// source is not in order.
  public init(_ source: Checkpoint, _ options: ConversionOptions) throws {
    try SourceCheck(source: source, options: options).run()
    var warnings = try VersionCheck(source: source, options: options).run()
    var opened = try source.layers.map {
      try source.open($0, assume: options.assumeZeros, version: options.assumeVersion)
    }
    try ZeroCheck(source: source, threads: options.threads).run(on: opened)
    if !options.target.canPad, options.padForRanks != nil {
      throw Failure(.usage, at: source.path, "tensors that stay as they are can't be padded")
    }
    let folding = try Self.folding(source, opened, options)
    opened = folding.folded(opened)
    self.folding = folding
    let padding = try options.padForRanks.map { try RankPadding(source, ranks: $0) }
    if let padding { opened = try padding.padded(opened) }
    self.padding = padding
    let configs: [ConfigRewrite.File]
    var quantized: QuantizedSummary?
    self.source = source
    self.options = options
    switch options.target {
    case .layout(let codec):
      (layers, rest) = try Self.fit(opened, to: codec, source, options, folding)
      let names = layers.map(\.fitted.name)
      warnings += [Conv1D.warning(codec, names, of: source)].compactMap(\.self)
      let facts = try Self.facts(of: layers, threads: options.threads)
      let scheme = codec.completed(
        TargetScheme(source: source, target: codec, facts: facts, rest: rest).scheme)
      configs = try ConfigRewrite(
        source.config, quantization: codec.config(for: scheme), habits: codec.habits
      ).files
      self.scheme = scheme
      let packed = try Self.outputs(of: layers, codec, options)
      let dense = try Self.dense(rest, as: options.restType)
      outputs = Self.sorted(
        try Self.carried(from: source.denseTensors, padding, folding) + packed + dense)
    case .dense(let type):
      layers = opened.map { FittedLayer(source: $0, fitted: $0, changes: []) }
      rest = []
      configs = ConfigRewrite(source.config, denseType: type).files
      scheme = nil
      let packed = try Self.dense(opened, as: type)
      outputs = Self.sorted(try Self.carried(from: source.denseTensors, padding) + packed)
    case .asIs:
      layers = []
      rest = []
      configs = ConfigRewrite(unchanged: source.config).files
      scheme = source.config.scheme
      outputs = Self.sorted(try Self.carried(from: source.tensors.tensors, nil))
    case .quantized(let quantization):
      layers = []
      rest = []
      let made = try QuantizedTensors(of: source, quantization, threads: options.threads)
      configs =
        ConfigRewrite(
          source.config, quantization: made.config, habits: quantization.method.codec.habits
        ).files
      scheme = nil
      outputs = Self.sorted(made.outputs)
      quantized = made.summary
      warnings += made.findings
    }
    self.quantized = quantized
    self.warnings = warnings
    self.configs = padding?.rewritten(configs) ?? configs
    shards = try ShardLayout(
      tensors: outputs.map(\.info), metadata: Self.metadata(of: source, for: options.target),
      maxShardBytes: options.maxShardBytes)
    sideFiles = try SideFiles(of: source)
    fates = try Reconciliation(source, outputs, shards, folding).fates(of: source)
  }

  /// Layouts without a group index have orders of inputs folded.
  private static func folding(
    _ source: Checkpoint, _ layers: [any PackedLayer], _ options: ConversionOptions
  ) throws -> OrderFolding {
    guard case .layout(let codec) = options.target else { return .none }
    return try FoldSearch(source, layers, LayerFitter(codec: codec, options: options)).run()
  }

  private static func fit(
    _ layers: [any PackedLayer], to codec: any Codec, _ source: Checkpoint,
    _ options: ConversionOptions, _ folding: OrderFolding
  ) throws -> (fitted: [FittedLayer], rest: [any PackedLayer]) {
    let fitter = LayerFitter(codec: codec, options: options)
    let results = Gathered<Result<FittedLayer, LayerRefusal>>(count: layers.count)
    try parallelBands(layers.count, threads: options.threads) { index, workspace in
      results.set(try fitter.fit(layers[index], workspace), at: index)
    }
    var fitted: [FittedLayer] = []
    var refused: [LayerRefusal] = []
    var rest: [any PackedLayer] = []
    for (layer, result) in zip(layers, results.values) {
      switch result {
      case .success(let layer): fitted.append(layer)
      case .failure(let refusal):
        refused.append(refusal)
        rest.append(layer)
      }
    }
    // Slices of one tensor stay together: it is written dense whole, or not at all.
    let places = Set(rest.map(\.claim.dense.name))
    let isSibling = { (layer: FittedLayer) in places.contains(layer.source.claim.dense.name) }
    rest += fitted.filter(isSibling).map(\.source)
    fitted.removeAll(where: isSibling)
    guard !refused.isEmpty, options.restType == nil || fitted.isEmpty else {
      return (fitted, rest)
    }
    throw refusal(of: refused, of: layers.count, to: codec, source, options, folding)
  }

  private static func refusal(
    of refused: [LayerRefusal], of count: Int, to codec: any Codec, _ source: Checkpoint,
    _ options: ConversionOptions, _ folding: OrderFolding
  ) -> Failure {
    let first = refused[0].refusal
    var remedies = [first.remedy]
    if refused.contains(where: { folding.obstacles[$0.name] != nil }) {
      if options.restType == nil { remedies.append("--rest dense writes these layers dense") }
      if !options.allowsRequantize {
        remedies.append("--allow-requantize rounds them anew, with an error that is stated")
      }
    }
    return Failure(
      .cannotRepresent, at: source.path,
      "\(codec.name) can't hold \(refused.count) of \(count) layers without changing them",
      rule: first.rule, remedy: "nothing was written; " + remedies.joined(separator: "; "),
      reasons: refused.reasons { layer in
        let obstacle =
          folding.obstacles[layer.name].map { "; the order can't be moved, as \($0)" } ?? ""
        // What would work for all has been said.
        let remedy = layer.refusal.remedy == first.remedy ? "" : "; \(layer.refusal.remedy)"
        return layer.refusal.reason + obstacle + remedy
      })
  }

  private static func facts(of layers: [FittedLayer], threads: Int) throws -> [LayerFacts] {
    let facts = Gathered<LayerFacts>(count: layers.count)
    try parallelBands(layers.count, threads: threads) { index, workspace in
      let layer = layers[index]
      facts.set(
        layer.isRequantized
          ? LayerFacts(name: layer.fitted.name, form: layer.fitted.form, zeros: nil, ambiguous: 0)
          : try LayerFacts(of: layer.fitted, workspace), at: index)
    }
    return facts.values
  }

  private static func outputs(
    of layers: [FittedLayer], _ codec: any Codec, _ options: ConversionOptions
  ) throws -> [Output] {
    try layers.flatMap { layer in
      try codec.parts(of: layer.fitted, options: options.encoding).map {
        Output(info: $0.info, recipe: .encode($0, layer: layer.fitted))
      }
    }
  }

  private static func dense(
    _ layers: [any PackedLayer], as type: DType?
  ) throws -> [Output] {
    guard let type else { return [] }
    return try DenseParts(type: type).parts(of: layers).map {
      Output(info: $0.part.info, recipe: .encode($0.part, layer: $0.layer))
    }
  }

  private static func carried(
    from tensors: [Tensor], _ padding: RankPadding?, _ folding: OrderFolding = .none
  ) throws -> [Output] {
    try tensors.map { tensor in
      let reordered = folding.reordered(tensor)
      if let part = try padding?.padded(tensor, rows: reordered?.order)?.part() {
        return Output(info: part.info, recipe: .pad(part))
      }
      guard let reordered else { return Output(info: tensor.info, recipe: .copy(tensor)) }
      return Output(info: tensor.info, recipe: .reorder(try reordered.part()))
    }
  }

  private static func sorted(_ outputs: [Output]) -> [Output] {
    outputs.sorted { $0.info.name.utf8.lexicographicallyPrecedes($1.info.name.utf8) }
  }

  /// `format` and the names of tied tensors; what describes the source's quantization is left out.
  private static func metadata(
    of source: Checkpoint, for target: ConversionOptions.Target
  ) -> [String: String] {
    let codec: (any Codec)? =
      switch target {
      case .layout(let codec): codec
      case .dense, .quantized: nil
      case .asIs: source.config.scheme.flatMap { Codecs.named($0.layout) }
      }
    var kept = ["format": (codec?.habits ?? FileHabits()).metadataFormat]
    for file in source.tensors.files {
      for member in file.header.metadata.members {
        guard let target = member.value.string, source.tensors[target] != nil else { continue }
        kept[member.key] = target
      }
    }
    return kept
  }

  /// What the user should know of how parts are written, each once.
  public var notes: [String] {
    var seen: Set<String> = []
    return [padding?.summary].compactMap(\.self)
      + outputs.compactMap { output in
        guard case .encode(let part, _) = output.recipe, let note = part.note,
          seen.insert(note).inserted
        else { return nil }
        return note
      }
  }

  /// Source tensors by what becomes of them: every one is copied or encoded.
  public var packedSources: [String] {
    let all = layers.map(\.source) + rest
    let names = all.flatMap { $0.claim.parts.values.map(\.name) }
    return Set(names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
