internal import TensorCore

/// An architecture family: the names configs call it, where its tensors are, and how its config becomes a
/// blueprint.
///
/// To add one, write one file in `Families` and one line in `all`.
public struct Architecture: Sendable {
  /// What `architectures` of a config calls it.
  public let names: [String]
  /// What `model_type` calls it, for configs without `architectures`.
  public let modelTypes: [String]
  /// What the names of its tensors may begin with; the first under which `landmark` is there.
  let prefixes: [String]
  /// A tensor that every checkpoint of the family has, without prefix.
  let landmark: String
  let blueprint: @Sendable (ModelSource) throws -> Blueprint

  public static let all: [Architecture] = [
    .opt, .llama, .qwen2, .qwen3, .gemma, .gemma2, .gemma3, .gpt2, .phi3, .mixtral, .qwen2MoE,
    .qwen3MoE,
  ]

  init(
    _ names: [String], modelTypes: [String], prefixes: [String] = ["model.", ""],
    landmark: String = "embed_tokens.weight",
    _ blueprint: @escaping @Sendable (ModelSource) throws -> Blueprint
  ) {
    self.names = names
    self.modelTypes = modelTypes
    self.prefixes = prefixes
    self.landmark = landmark
    self.blueprint = blueprint
  }

  /// The family of a config. Throws `unsupported` naming those that are known.
  static func find(_ config: ConfigFields) throws -> Architecture {
    let names = try config.texts("architectures") ?? []
    let type = try config.text("model_type")
    if let found = all.first(where: { !Set($0.names).isDisjoint(with: names) }) { return found }
    if names.isEmpty, let type, let found = all.first(where: { $0.modelTypes.contains(type) }) {
      return found
    }
    throw Failure.unknownArchitecture(
      names.first ?? type ?? "none", at: config.path, known: all.flatMap(\.names))
  }

  /// The names that tensors have in a whole model, by those they have in a decoder that was saved by itself, where
  /// the beginning of every name is missing. Empty where none is.
  func completedNames(_ names: Set<String>) -> [String: String] {
    guard let own = prefixes.first(where: { names.contains($0 + landmark) }), own != prefixes[0],
      prefixes[0].hasSuffix(own)
    else { return [:] }
    let missing = prefixes[0].dropLast(own.count)
    let known = names.filter { $0.hasPrefix(own) && !$0.hasPrefix("lm_head.") }
    return Dictionary(uniqueKeysWithValues: known.map { ($0, missing + $0) })
  }

  func makeBlueprint(_ config: ConfigFields, _ names: Set<String>) throws -> Blueprint {
    let prefix = prefixes.first { names.contains($0 + landmark) } ?? prefixes[0]
    return try blueprint(ModelSource(config: config, prefix: prefix, names: names))
  }
}

/// What a family makes its blueprint from.
struct ModelSource {
  let config: ConfigFields
  /// What the names of the decoder's tensors begin with.
  let prefix: String
  /// All names of the checkpoint.
  let names: Set<String>
}
