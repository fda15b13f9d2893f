import Codecs
import Kernels
import TensorCore

/// A checkpoint as a runtime meets it: its configs, and what its layers really hold.
struct LoadedModel: Sendable {
  let layers: [LoadedLayer]
  /// `config.json`; empty where there is none.
  let config: JSONObject
  /// `quantization_config` of `config.json`.
  var quantization: JSONObject? { config["quantization_config"]?.object }
  let scheme: Scheme?
  let denseType: DType?
  let fileNames: [String]
  /// Modules with a dense `weight`.
  let denseModules: Set<String>
  private let byName: [String: LoadedLayer]

  /// Reads all zero points and group indices: 1/group_size of the numbers. Layers that can't be
  /// opened are left out; `Verification` speaks of them. Throws `io`.
  init(_ checkpoint: Checkpoint, threads: Int) throws {
    let claims = checkpoint.layers
    let found = Gathered<LoadedLayer>(count: claims.count)
    try parallelBands(claims.count, threads: threads) { index, workspace in
      do {
        let layer = try checkpoint.open(claims[index])
        found.set(
          LoadedLayer(claim: claims[index], facts: try LayerFacts(of: layer, workspace)),
          at: index)
      } catch let failure as Failure where failure.kind == .malformed {
        return
      }
    }
    let dense = checkpoint.denseTensors.filter {
      $0.name.hasSuffix(".weight") && $0.shape.rank == 2
    }
    self.init(
      layers: found.values, config: checkpoint.config.model?.object ?? JSONObject(),
      scheme: checkpoint.config.scheme, denseType: checkpoint.config.denseType,
      fileNames: checkpoint.tensors.files.map(\.name),
      denseModules: Set(dense.map { String($0.name.dropLast(".weight".count)) }))
  }

  init(
    layers: [LoadedLayer], config: JSONObject, scheme: Scheme?, denseType: DType?,
    fileNames: [String], denseModules: Set<String>
  ) {
    self.layers = layers
    self.config = config
    self.scheme = scheme
    self.denseType = denseType
    self.fileNames = fileNames
    self.denseModules = denseModules
    byName = Dictionary(layers.map { ($0.name, $0) }) { first, _ in first }
  }

  func layer(named name: String) -> LoadedLayer? { byName[name] }

  /// A whole number of `config.json`, or of the text model inside it, by the first name it has.
  func number(_ keys: String...) -> Int? {
    let objects = [config, config["text_config"]?.object].compactMap(\.self)
    return objects.lazy.flatMap { object in keys.compactMap { object[$0]?.int } }.first
  }

  var heads: Int? { number("num_attention_heads", "n_head") }
  var keyValueHeads: Int? { number("num_key_value_heads") ?? heads }

  /// Outputs of a layer that one of `ranks` holds; nil where they can't be cut evenly. Key and value
  /// heads are repeated where there are fewer of them than ranks.
  func outputs(of layer: LoadedLayer, on ranks: Int) -> Int? {
    guard layer.role == .columnParallel else { return layer.claim.rows }
    var shares = ranks
    if ["k_proj", "v_proj"].contains(LayerRole.lastName(of: layer.name)),
      let heads = keyValueHeads, heads > 0, heads < ranks
    {
      shares = heads
    }
    return layer.claim.rows % shares == 0 ? layer.claim.rows / shares : nil
  }

  /// Inputs of a layer that one of `ranks` holds; nil where they can't be cut evenly.
  func inputs(of layer: LoadedLayer, on ranks: Int) -> Int? {
    guard layer.role == .rowParallel else { return layer.claim.columns }
    return layer.claim.columns % ranks == 0 ? layer.claim.columns / ranks : nil
  }

  /// Outputs a rank holds of all layers that are joined with this one.
  func joinedOutputs(of layer: LoadedLayer, on ranks: Int) -> Int? {
    let partners = (LayerRole.partners(of: layer.name) ?? [layer.name]).compactMap(self.layer)
    let shares = partners.map { outputs(of: $0, on: ranks) }
    return shares.contains(nil) ? nil : shares.compactMap(\.self).reduce(0, +)
  }
}

/// A packed layer with what its metadata say.
struct LoadedLayer: Sendable {
  let claim: LayerClaim
  let facts: LayerFacts

  var name: String { claim.name }
  var form: QuantizedForm { facts.form }
  var role: LayerRole { LayerRole(module: name) }
  /// Columns of a group; -1 where each row is one group.
  var groupSize: Int { form.groups == 1 ? -1 : claim.groupSize }
  var isExpert: Bool { name.contains(".experts.") }

  /// What layers that are joined into one matrix must share.
  var settings: String {
    let groups = groupSize == -1 ? "one group a row" : "groups of \(groupSize)"
    return "\(claim.layout), \(form.grid.bits) bits, \(groups)"
  }
}
