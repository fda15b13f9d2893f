internal import Codecs
internal import TensorCore

/// Tells a model's linear layers from its other matrices by their names, as transformers quantizes
/// them (BNB-50 to BNB-53): embeddings and the head stay dense.
struct LinearModules {
  /// The weights to quantize, sorted by name.
  let weights: [Tensor]
  /// Modules with matrices that stay dense although they are linear: those the user named.
  let skipped: [String]
  /// Modules the loader leaves out by itself.
  let heads: [String]
  let findings: [Finding]

  /// Model types whose linear layers are all plain ones, so that the rule by names holds.
  private static let knownTypes: Set<String> = [
    "llama", "mistral", "ministral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "phi3", "opt",
    "gpt_neox", "gptj", "codegen", "bloom", "mpt", "stablelm", "starcoder2", "olmo", "olmo2",
    "olmo3",
    "granite", "cohere", "cohere2", "glm", "glm4", "smollm3", "exaone4", "nemotron", "gpt_bigcode",
    "gpt_neo", "helium", "seed_oss", "arcee", "ernie4_5", "hunyuan_v1_dense",
  ]
  /// Linear layers of a class of their own, which the peer passes over.
  private static let ownClassTypes: Set<String> = ["falcon", "falcon_mamba", "mamba", "jamba"]
  /// Whether a module of that path is an embedding, by the last part of its name.
  static func isEmbedding(_ module: String) -> Bool {
    module.split(separator: ".").last.map { embeddingNames.contains(String($0)) } ?? false
  }

  private static let embeddingNames: Set<String> = [
    "embed_tokens", "embed_positions", "embed_in", "wte", "wpe", "word_embeddings",
    "position_embeddings", "token_type_embeddings", "embeddings", "embedding", "tok_embeddings",
    "embed",
  ]
  static func isHead(_ module: String) -> Bool {
    module.split(separator: ".").last.map { headNames.contains(String($0)) } ?? false
  }

  private static let headNames: Set<String> = ["lm_head", "embed_out", "output_projection"]

  init(of source: Checkpoint, _ quantization: Quantization) throws {
    let type = source.config.model?.object["model_type"]?.string
    try Self.check(type, source)
    var weights: [Tensor] = []
    var skipped: [String] = []
    var heads: [String] = []
    for tensor in source.denseTensors where Self.isMatrix(tensor) {
      let module = String(tensor.name.dropLast(".weight".count))
      let last = String(module.split(separator: ".").last ?? "")
      if Self.embeddingNames.contains(last) { continue }
      if Self.headNames.contains(last) {
        heads.append(module)
      } else if quantization.skips(module) {
        skipped.append(module)
      } else {
        weights.append(tensor)
      }
    }
    guard !weights.isEmpty else {
      throw Failure(
        .unsupported, at: source.path, "there is no linear layer to quantize",
        expected: "two-dimensional float tensors named ….weight",
        found: skipped.isEmpty ? "none" : "\(skipped.count), all skipped", rule: "BNB-50")
    }
    for name in quantization.skippedModules {
      guard (skipped + heads).contains(where: { quantization.skips($0, as: name) }) else {
        throw Failure(
          .usage, at: "--skip-modules", "the name is of no linear layer",
          expected: "a module of \(source.path)", found: name)
      }
    }
    (self.weights, self.skipped, self.heads) = (weights, skipped, heads)
    findings = Self.findings(type, source)
  }

  static func isMatrix(_ tensor: Tensor) -> Bool {
    tensor.name.hasSuffix(".weight") && tensor.shape.rank == 2 && tensor.byteCount > 0
      && [.f32, .f16, .bf16].contains(tensor.dtype)
  }

  /// Throws `unsupported` where what the loader would quantize is not told by names, and where weights are
  /// `[inputs, outputs]`.
  private static func check(_ type: String?, _ source: Checkpoint) throws {
    if let type, Conv1D.modelTypes.contains(type) {
      throw Failure(
        .unsupported, at: source.path, "its linear layers are stored as [inputs, outputs]",
        expected: "weights of [outputs, inputs]", found: "model_type \(type)", rule: "BNB-52")
    }
    if let type, ownClassTypes.contains(type) {
      throw Failure(
        .unsupported, at: source.path, "the loader quantizes only some of its linear layers",
        expected: "linear layers of one kind", found: "model_type \(type)", rule: "BNB-52")
    }
    let experts = source.denseTensors.first { tensor in
      tensor.name.split(separator: ".").contains("experts")
        || tensor.shape.rank == 3 && tensor.name.contains("mlp")
    }
    if let experts {
      throw Failure(
        .unsupported, at: experts.place,
        "the loader joins experts into tensors that it does not quantize",
        expected: "a model without experts", found: experts.name, rule: "BNB-53")
    }
  }

  private static func findings(_ type: String?, _ source: Checkpoint) -> [Finding] {
    if let type, knownTypes.contains(type) { return [] }
    let failure = Failure(
      .unsupported, at: source.path,
      "the architecture is not known; linear layers were told by their names",
      expected: "a model_type whose layers are known", found: type ?? "no model_type",
      rule: "BNB-51")
    return [Finding(.warning, failure)]
  }
}
