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
  }

  /// One output tensor.
  public struct Output: Sendable {
    public let info: TensorInfo
    public let recipe: Recipe
  }

  public let source: Checkpoint
  public let options: ConversionOptions
  public let layers: [any PackedLayer]
  /// Sorted by name.
  public let outputs: [Output]
  public let shards: ShardLayout
  /// Config files with their new content.
  public let configs: [ConfigRewrite.File]
  public let sideFiles: SideFiles
  /// The config the output will have, without its dialect.
  public let scheme: Scheme

  /// Reads all zero points (1/group_size of the numbers), nothing else of the data.
  ///
  /// Throws `cannotRepresent` naming every layer the target can't hold, `malformed` where the
  /// source is not in order, `usage` for an unknown target.
  public init(_ source: Checkpoint, _ options: ConversionOptions) throws {
    guard let codec = Codecs.named(options.target) else {
      throw Failure(
        .usage, at: "--to", "no such layout",
        expected: Codecs.all.map(\.name).joined(separator: ", "), found: options.target)
    }
    try Self.checkSource(source)
    let layers = try source.layers.map { try source.open($0, assume: options.assumeZeros) }
    let facts = try Self.facts(of: layers, threads: options.threads)
    try Self.checkZeros(facts, source)
    try Self.checkTarget(codec, facts, source)
    let scheme = TargetScheme(source: source, target: codec, facts: facts).scheme
    let outputs = try Self.outputs(of: source, layers, codec)
    self.source = source
    self.options = options
    self.layers = layers
    self.outputs = outputs
    self.scheme = scheme
    shards = try ShardLayout(
      tensors: outputs.map(\.info), metadata: Self.metadata(of: source, for: codec),
      maxShardBytes: options.maxShardBytes)
    configs = try ConfigRewrite(source.config, codec: codec, scheme: scheme).files
    sideFiles = try SideFiles(of: source)
  }

  private static func checkSource(_ source: Checkpoint) throws {
    let errors = source.findings.filter { $0.severity == .error }
    if let only = errors.first, errors.count == 1 || source.layers.isEmpty { throw only.failure }
    guard errors.isEmpty else {
      throw Failure(
        .malformed, at: source.path, "the source is not in order",
        found: "\(errors.count) errors",
        remedy: "nothing was written; nibble verify lists them all",
        details: errors.prefix(20).map(\.failure.description))
    }
    guard !source.layers.isEmpty else {
      throw Failure(
        .unsupported, at: source.path, "there is no packed layer to convert",
        expected: "layers in \(Codecs.all.map(\.name).joined(separator: ", "))",
        found: source.config.method ?? "dense tensors",
        details: source.findings.map(\.failure.description))
    }
  }

  private static func facts(of layers: [any PackedLayer], threads: Int) throws -> [LayerFacts] {
    let facts = Gathered<LayerFacts>(count: layers.count)
    try parallelBands(layers.count, threads: threads) { index, workspace in
      facts.set(try LayerFacts(of: layers[index], workspace), at: index)
    }
    return facts.values
  }

  /// GPTQ-12: full zero-point fields of an unknown writer mean one of three things.
  private static func checkZeros(_ facts: [LayerFacts], _ source: Checkpoint) throws {
    let ambiguous = facts.filter { $0.ambiguous > 0 }
    guard !ambiguous.isEmpty else { return }
    let fields = ambiguous.reduce(0) { $0 + $1.ambiguous }
    throw Failure(
      .malformed, at: source.path,
      "version 1 zero points are ambiguous: \(fields) fields are full and the config names no "
        + "known writer",
      expected: "fields below the maximum, or --assume-zeros word|mask|carry",
      found: "\(ambiguous.count) layers with full fields", rule: "GPTQ-12",
      details: ambiguous.map { "\($0.name): \($0.ambiguous) full fields" })
  }

  private static func checkTarget(
    _ codec: any Codec, _ facts: [LayerFacts], _ source: Checkpoint
  ) throws {
    let refusals = facts.compactMap { layer in codec.refusal(of: layer).map { (layer, $0) } }
    guard let (_, first) = refusals.first else { return }
    throw Failure(
      .cannotRepresent, at: source.path,
      "\(codec.name) can't hold \(refusals.count) of \(facts.count) layers without changing them",
      rule: first.rule, remedy: "nothing was written; \(first.remedy)",
      details: refusals.map { "\($0.name): \($1.reason); \($1.remedy)" })
  }

  private static func outputs(
    of source: Checkpoint, _ layers: [any PackedLayer], _ codec: any Codec
  ) throws -> [Output] {
    let dense = source.denseTensors.map { Output(info: $0.info, recipe: .copy($0)) }
    let packed = try layers.flatMap { layer in
      try codec.parts(of: layer, options: EncodingOptions()).map {
        Output(info: $0.info, recipe: .encode($0, layer: layer))
      }
    }
    return (dense + packed).sorted {
      $0.info.name.utf8.lexicographicallyPrecedes($1.info.name.utf8)
    }
  }

  /// `format` and the names of tied tensors; what describes the source's quantization is left out.
  private static func metadata(
    of source: Checkpoint, for codec: any Codec
  ) -> [String: String] {
    var kept = ["format": codec.habits.metadataFormat]
    for file in source.tensors.files {
      for member in file.header.metadata.members {
        guard let target = member.value.string, source.tensors[target] != nil else { continue }
        kept[member.key] = target
      }
    }
    return kept
  }
}
