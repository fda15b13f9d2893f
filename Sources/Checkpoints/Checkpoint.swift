public import Codecs
public import Containers
internal import Kernels
public import TensorCore

/// A folder of safetensors files, or a container of one, as one thing: its tensors, its config, and the packed layers in it.
///
/// Opening reads headers and configs only; numbers are read when a layer is opened and asked.
public final class Checkpoint: Sendable {
  /// The path that was given: a folder, a container, a file or an index.
  public let path: String
  public let tensors: ShardedTensors
  public let config: ModelConfig
  /// Packed layers by name, sorted.
  public let layers: [LayerClaim]
  /// What its user should know, gravest first.
  public let findings: [Finding]

  /// Opens a folder, a container, a `.safetensors` file or a shard index. Throws `malformed`,
  /// `unsupported` or `io` where the tensors can't be read; what is wrong with layers and config is in `findings`.
  /// A folder that a run left unfinished is refused.
  public convenience init(opening path: String, strict: Bool = true) throws {
    try OutputFolder.checkFinished(path)
    try self.init(unproven: path, strict: strict)
  }

  /// Opens what may be the staging folder of an output.
  convenience init(unproven path: String, strict: Bool = true) throws {
    let tensors = try ShardedTensors(opening: path, strict: strict)
    try self.init(
      path: path, tensors: tensors, config: ModelConfig(folder: tensors.contents), strict: strict)
  }

  /// Tensors that have been opened, and what declares them.
  init(path: String, tensors: ShardedTensors, config: ModelConfig, strict: Bool = true) throws {
    try Self.checkNames(tensors)
    (self.path, self.tensors, self.config) = (path, tensors, config)
    let table = TensorTable(tensors.tensors)
    var census = LayerCensus(table: table, scheme: config.scheme)
    census.takeAll()
    layers = Conv1D.placed(census.layers, config)
    let disagreements = ConfigReview(
      table: table, config: config, layers: layers, failed: census.failedModules
    ).findings
    let all =
      Self.findings(of: tensors, strict: strict) + config.findings + census.findings
      + disagreements
    findings = all.gravestFirst
  }

  /// Layers are found by comparing text, so names that are one text in different bytes would be mixed
  /// up. No writer makes them. O(n).
  private static func checkNames(_ tensors: ShardedTensors) throws {
    var seen: Set<String> = []
    for tensor in tensors.tensors where !seen.insert(tensor.name).inserted {
      throw Failure(
        .unsupported, at: tensor.place, "two names differ only in Unicode normalization",
        expected: "names that differ as text")
    }
  }

  /// What a strict opening lets pass leaves every tensor certain, so it only warns. GPTQModel counts
  /// whole files in `total_size` (SI-8), which harms nobody.
  private static func findings(of tensors: ShardedTensors, strict: Bool) -> [Finding] {
    let fileBytes = tensors.files.reduce(0) { $0 + $1.size }
    return tensors.problems.map { problem in
      let countsFiles = problem.rule == "SI-8" && tensors.index?.totalSize?.int == fileBytes
      return Finding(strict || countsFiles ? .warning : .error, problem)
    }
  }

  public func layer(named name: String) -> LayerClaim? {
    layers.first { $0.name == name }
  }

  /// Opens a layer for reading. `assume` settles version 1 zero points of unknown writers;
  /// `version` reads those of a GPTQ layer so, whatever the config says (GPTQ-13).
  public func open(
    _ claim: LayerClaim, assume: ZeroRule? = nil, version: GPTQ.Version? = nil
  ) throws -> any PackedLayer {
    if let version, claim.gptqVersion != nil {
      return try version.codec.open(claim, scheme: config.scheme, assume: assume)
    }
    guard let codec = Codecs.named(claim.layout) else {
      throw Failure(.internal, at: claim.name, "no codec named \(claim.layout)")
    }
    return try codec.open(claim, scheme: config.scheme, assume: assume)
  }

  /// Tensors that are not part of a packed layer, sorted by name.
  public var denseTensors: [Tensor] {
    let packed = Set(layers.flatMap { $0.parts.values.map(\.name) })
    return tensors.tensors.filter { !packed.contains($0.name) }
  }
}

/// Finds the packed layers of a checkpoint: every codec is asked about its candidates.
struct LayerCensus {
  let table: TensorTable
  let scheme: Scheme?
  private(set) var layers: [LayerClaim] = []
  private(set) var findings: [Finding] = []
  /// Modules whose parts are there in part or in a wrong shape.
  private(set) var failedModules: Set<String> = []

  init(table: TensorTable, scheme: Scheme?) {
    self.table = table
    self.scheme = scheme
  }

  mutating func takeAll() {
    let rules = scheme?.rules()
    var claimed: Set<String> = []
    for codec in Codecs.all {
      for module in codec.candidates(in: table)
      where !claimed.contains(module) && !failedModules.contains(module) {
        let declared = Declared(scheme: scheme, settings: rules?.settings(for: module))
        if take(module, codec, declared) { claimed.insert(module) }
      }
    }
    layers.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    let recognised = Recognition.all(in: table, claimed: claimed.union(failedModules))
    findings += layers.flatMap(\.findings) + recognised.map(\.finding)
    findings += leftovers(claimed.union(recognised.flatMap(\.modules)))
  }

  /// Parts of packed layers that no layout took, under a config that declares one: they would be
  /// carried as if they were dense.
  private mutating func leftovers(_ claimed: Set<String>) -> [Finding] {
    guard let scheme else { return [] }
    let modules = ["qweight", "qzeros"].flatMap { table.modules(with: $0) }
    let left = Set(modules).subtracting(claimed).subtracting(failedModules).sorted()
    failedModules.formUnion(left)
    return left.map { module in
      let qweight = table["\(module).qweight"]
      let failure = Failure(
        .malformed, at: module, "the parts are no layer of any layout that is read",
        expected: "qweight, qzeros and scales in the shapes of \(scheme.layout)",
        found: qweight.map { "a qweight of \($0.dtype) \($0.shape)" } ?? "no qweight",
        rule: qweight == nil ? "GPTQ-1" : scheme.isAWQ ? "AWQ-2" : "GPTQ-2")
      return Finding(.error, failure, names: [module])
    }
  }

  private mutating func take(_ module: String, _ codec: any Codec, _ declared: Declared) -> Bool {
    do {
      let claims = try codec.claims(module, in: table, declared: declared)
      layers += claims
      return !claims.isEmpty
    } catch let failure as Failure {
      findings.append(Finding(.error, failure, names: [module]))
    } catch {
      let failure = Failure(.internal, at: module, "an unexpected error", found: "\(error)")
      findings.append(Finding(.error, failure, names: [module]))
    }
    failedModules.insert(module)
    return false
  }
}
