extension Architecture {
  /// Qwen 2 and 2.5: LLaMA's tensors (`llama`) with biases of q, k and v.
  static let qwen2 = Architecture(["Qwen2ForCausalLM"], modelTypes: ["qwen2"]) { source in
    var decoder = try GatedDecoder(source)
    decoder.hasInputBias = true
    let blocks = try (0..<decoder.blockCount).map(decoder.block)
    return try decoder.blueprint(
      ropes: [decoder.rope()], decoder.withWindows(blocks, decoder.laterBlocksSlide))
  }

  /// Qwen 3: LLaMA's tensors, and `self_attn.{q,k}_norm` of each head's queries and keys.
  static let qwen3 = Architecture(["Qwen3ForCausalLM"], modelTypes: ["qwen3"]) { source in
    var decoder = try GatedDecoder(source, headSize: 128)
    try decoder.takeQwen3Attention()
    let blocks = try (0..<decoder.blockCount).map(decoder.block)
    return try decoder.blueprint(
      ropes: [decoder.rope()], decoder.withWindows(blocks, decoder.laterBlocksSlide))
  }
}

extension GatedDecoder {
  mutating func takeQwen3Attention() throws {
    hasQueryKeyNorms = true
    hasInputBias = try config.flag("attention_bias", false)
    hasOutputBias = hasInputBias
  }

  /// Blocks from `max_window_layers` on have the window.
  func laterBlocksSlide(_ index: Int) throws -> Bool {
    try index >= config.count("max_window_layers", 28)
  }

  /// Sliding windows where `use_sliding_window` asks for them.
  func withWindows(_ blocks: [BlockPlan], _ fallback: (Int) throws -> Bool) throws -> [BlockPlan] {
    guard try config.flag("use_sliding_window", false) else { return blocks }
    let window = try config.optionalSize("sliding_window") ?? 4096
    let slides = try slidingBlocks(fallback)
    var blocks = blocks
    for index in blocks.indices where slides[index] { blocks[index].attention.window = window }
    return blocks
  }
}
