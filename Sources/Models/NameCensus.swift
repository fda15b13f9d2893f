internal import TensorCore

extension Blueprint {
  /// Every matrix of the model; a tied head only where it has a tensor of its own.
  func allMatrices(_ names: Set<String>) -> [LinearPlan] {
    let ends = [
      embedding.tokens, embedding.positions?.table, embedding.projectIn, projectOut,
    ].compactMap(\.self)
    let hasHead = !isTied || names.contains(head.tensorName)
    return ends + (hasHead ? [head] : []) + blocks.flatMap(\.linears)
  }

  func tensorNames(_ names: Set<String>) -> Set<String> {
    let norms = (finalNorm?.tensorNames ?? []) + blocks.flatMap { $0.norms.flatMap(\.tensorNames) }
    return Set(allMatrices(names).flatMap(\.tensorNames) + norms)
  }
}

/// Compares the tensors of a checkpoint with those of a blueprint.
///
/// A weight or bias among the model's modules that the config does not speak of is an error, for the model
/// would be another one without it; a bias of zeros beside a linear layer without bias is none, as packers write
/// them. What else is there (buffers of rotary embeddings, masks, scales of caches, other modules)
/// is left alone, with a warning where it is not known to be harmless.
struct NameCensus {
  let blueprint: Blueprint
  let weights: any WeightProvider

  init(_ blueprint: Blueprint, _ weights: any WeightProvider) {
    self.blueprint = blueprint
    self.weights = weights
  }

  /// Warnings about what is left alone. Throws `malformed` for what is missing and surplus.
  func check() throws -> [Failure] {
    let expected = blueprint.tensorNames(weights.names)
    try refuse(
      expected.subtracting(weights.names), "tensors that the config asks for are missing")
    let surplus = weights.names.subtracting(expected).filter { !Self.isBuffer($0) }
    let errors = try surplus.filter { try isOfModel($0) }
    try refuse(errors, "tensors are surplus that would change the model")
    return Set(surplus).subtracting(errors).sorted().map { name in
      Failure(
        .unsupported, at: weights.path, "a tensor is no part of the model and is left alone",
        found: name)
    }
  }

  private func refuse(_ names: some Collection<String>, _ what: String) throws {
    guard !names.isEmpty else { return }
    let sorted = names.sorted()
    throw Failure(
      .malformed, at: weights.path, what, found: "\(sorted.count)",
      details: Array(sorted.prefix(8)) + (sorted.count > 8 ? ["…"] : []))
  }

  /// Values that are computed from the config, as older checkpoints keep them.
  private static func isBuffer(_ name: String) -> Bool {
    [
      "rotary_emb.inv_freq", ".masked_bias", ".attn.bias", "position_ids", "rotary_emb.cos_cached",
      "rotary_emb.sin_cached",
    ].contains(where: name.hasSuffix)
  }

  /// A weight or bias of a block, known or beyond the last, or beside the decoder's other tensors.
  private func isOfModel(_ name: String) throws -> Bool {
    guard name.hasSuffix(".weight") || name.hasSuffix(".bias"), name.hasPrefix(decoderPrefix) else {
      return false
    }
    let rest = name.dropFirst(decoderPrefix.count)
    guard decoderPrefix.isEmpty ? isInBlocks(name) : !rest.isEmpty else { return false }
    return try !isZeroBias(name)
  }

  /// What the names of the blocks and the embedding begin with in common.
  private var decoderPrefix: String {
    let name = blueprint.embedding.tokens.name
    return String(name.dropLast(name.split(separator: ".").last?.count ?? 0))
  }

  private func isInBlocks(_ name: String) -> Bool {
    guard let block = blueprint.blocks.first?.name else { return false }
    return name.hasPrefix(block.dropLast())
  }

  private func isZeroBias(_ name: String) throws -> Bool {
    guard name.hasSuffix(".bias") else { return false }
    let module = String(name.dropLast(".bias".count))
    guard blueprint.blocks.contains(where: { $0.linears.contains { $0.name == module } }) else {
      return false
    }
    return try weights.vector(name).allSatisfy { $0 == 0 }
  }
}
