internal import Codecs
internal import Kernels
internal import TensorCore

/// Zeros that give every rank whole groups of an MLP's inside (`Formats/runtimes.md`, PAD-n).
///
/// The inside of an MLP is seen by nothing else: its added outputs meet added inputs whose weights
/// are zero, so the block computes what it did. Attention heads have no such inside.
public struct RankPadding: Sendable {
  public let ranks: Int
  /// The key of `config.json`, and its value before and after.
  public let key: String
  public let old: Int
  public let new: Int
  /// Modules by what is padded in them.
  let rows: Set<String>
  let columns: Set<String>

  /// The modules of an MLP: what goes inside, and what comes out of it.
  private static let namings: [(inward: [String], outward: String)] = [
    (["gate_proj", "up_proj"], "down_proj"), (["fc1"], "fc2"), (["w1", "w3"], "w2"),
  ]
  private static let keys = ["intermediate_size", "ffn_dim", "n_inner"]

  /// Throws `cannotRepresent` where the parts of every MLP are not known.
  init(_ source: Checkpoint, ranks: Int) throws {
    let modules = MLPModules(source)
    var rows: Set<String> = []
    var columns: Set<String> = []
    var sizes: Set<Int> = []
    for naming in Self.namings {
      for outward in modules.names(ending: naming.outward) {
        let parent = outward.dropLast(naming.outward.utf8.count)
        let inward = naming.inward.map { parent + $0 }.filter(modules.contains)
        sizes.formUnion(inward.compactMap { modules.shape(of: $0)?.rows })
        sizes.formUnion([modules.shape(of: outward)?.columns].compactMap(\.self))
        if inward.isEmpty { throw Self.refusal(source, "nothing goes inside", outward, "PAD-1") }
        rows.formUnion(inward)
        columns.insert(outward)
      }
    }
    guard let size = sizes.first, sizes.count == 1 else {
      throw Self.refusal(
        source, columns.isEmpty ? "no MLP is known by its names" : "MLPs of several sizes",
        sizes.sorted().map(String.init).joined(separator: ", "), "PAD-1")
    }
    let config = source.config.model?.object
    guard let key = Self.keys.first(where: { config?[$0]?.int == size }) else {
      throw Self.refusal(source, "config.json does not name the size", "\(size)", "PAD-2")
    }
    if let stranger = modules.stranger(besides: rows.union(columns), size: size) {
      throw Self.refusal(source, "a tensor of the MLP is not known", stranger, "PAD-3")
    }
    let unit = columns.compactMap { modules.groupSize(of: $0) }.reduce(32, Self.multiple)
    guard let step = unit.multiplied(by: ranks), let new = size.roundedUp(toMultipleOf: step) else {
      throw Self.refusal(source, "too many ranks", "\(ranks)", "PAD-4")
    }
    self.ranks = ranks
    self.key = key
    self.old = size
    self.new = new
    self.rows = rows
    self.columns = columns
  }

  private static func multiple(_ a: Int, _ b: Int) -> Int {
    var (x, y) = (a, b)
    while y != 0 { (x, y) = (y, x % y) }
    return a / x * b
  }

  private static func refusal(
    _ source: Checkpoint, _ what: String, _ found: String, _ rule: String
  ) -> Failure {
    Failure(
      .cannotRepresent, at: source.path, "can't pad for ranks: \(what)",
      expected: "MLPs of gate_proj, up_proj and down_proj, fc1 and fc2, or w1, w3 and w2, all of "
        + "the size that config.json gives",
      found: found.isEmpty ? "none" : found, rule: rule, remedy: "nothing was written")
  }

  /// Layers with what they gain. Throws `cannotRepresent` where a layer can't.
  func padded(_ layers: [any PackedLayer]) throws -> [any PackedLayer] {
    guard new > old else { return layers }
    return try layers.map { layer in
      let grows = (rows: rows.contains(layer.name), columns: columns.contains(layer.name))
      guard grows.rows || grows.columns else { return layer }
      guard
        let padded = PaddedLayer(
          layer, rows: grows.rows ? new : layer.form.rows,
          columns: grows.columns ? new : layer.form.columns)
      else {
        throw Failure(
          .cannotRepresent, at: layer.name, "can't pad for ranks: groups would have to grow",
          expected: "several whole groups in each row", found: "\(layer.form.groups) groups",
          rule: "PAD-4")
      }
      return padded
    }
  }

  /// The padded form of a dense tensor, its own rows in the order of `rows`; nil where it stays as it is.
  func padded(_ tensor: Tensor, rows order: Permutation?) -> PaddedTensor? {
    guard new > old, let dot = tensor.name.lastIndex(of: ".") else { return nil }
    let module = String(tensor.name[..<dot])
    var shape = tensor.shape.dimensions
    let isWeight = tensor.name.hasSuffix(".weight") && shape.count == 2
    if rows.contains(module), isWeight || tensor.name.hasSuffix(".bias") && shape.count == 1 {
      shape[0] = new
    } else if columns.contains(module), isWeight {
      shape[1] = new
    } else {
      return nil
    }
    return PaddedTensor(source: tensor, shape: shape, order: order)
  }

  func rewritten(_ files: [ConfigRewrite.File]) -> [ConfigRewrite.File] {
    files.map { file in
      guard file.name == "config.json" else { return file }
      var object = file.object
      object[key] = .integer(new)
      return ConfigRewrite.File(name: file.name, object: object)
    }
  }

  /// One line for people.
  public var summary: String {
    new == old
      ? "nothing to pad: \(ranks) ranks get whole groups of \(key) \(old)"
      : "\(key) \(old) padded with zeros to \(new), whole groups for each of \(ranks) ranks"
  }
}
