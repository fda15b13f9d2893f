import Checkpoints
import TestKit
import Testing

/// Perplexities and greedy tokens of the full goldens, where they are at hand.
@Suite(.enabled(if: Fixtures.goldens != nil)) struct TextGoldensTests {
  /// Goldens with a model that can be opened, and where its tokenizer is.
  static let names: [String] = {
    guard let root = Fixtures.goldens, let names = try? FileSystem.names(in: root) else {
      return []
    }
    return names.filter {
      FileSystem.kind(of: "\(root)/\($0)/expected.json") == .file
        && FileSystem.kind(of: "\(root)/\($0)/config.json") == .file
    }
  }()

  private func tokenizer(_ folder: String, _ root: String, _ expected: JSON) throws -> Tokenizer {
    let own = folder + "/tokenizer.json"
    if FileSystem.kind(of: own) == .file { return try Tokenizer(path: own) }
    let model = try #require(expected["model"]?.string)
    return try Tokenizer(path: "\(root)/models/\(model)/tokenizer.json")
  }

  @Test(arguments: names) func perplexity(name: String) throws {
    let root = try #require(Fixtures.goldens)
    let folder = "\(root)/\(name)"
    let place = folder + "/expected.json"
    let expected = try JSON(
      parsing: FileSystem.contents(of: place, limit: 1 << 24), at: place, limits: .tokenizer)
    let golden = try GoldenModel(folder)
    let model = try golden.checkpoint.model(on: CPUCompute())
    let text = try FileSystem.contents(of: root + "/text/valid.txt", limit: 1 << 24)
    let ids = try tokenizer(folder, root, expected).encode(bytes: text, addsSpecialTokens: false)
    var options = PerplexityOptions()
    options.context = 128
    options.maxWindows = 32
    let result = try Perplexity(of: model, ids: ids, options)
    #expect(result.estimate.tokens == 32 * 127)
    if let value = expected["val_ppl"]?.double {
      // AutoAWQ's norms were not yet rounded (`ModelGoldensTests`).
      let bound = name.hasPrefix("awq-") ? 1e-4 : 2e-6
      #expect((result.estimate.perplexity / value - 1).magnitude < bound, "\(name)")
    }
    try compareTokens(model, expected, name)
  }

  /// Equal up to the first place where the peer's two best logits are closer than logits are exact.
  private func compareTokens(_ model: CausalModel, _ expected: JSON, _ name: String) throws {
    guard let prompt = expected["prompt_ids"]?.array, let ids = expected["generated_ids"]?.array,
      let gaps = expected["greedy_gaps"]?.array
    else { return }
    let sure = gaps.prefix { ($0.double ?? 0) > 1e-2 }.count
    let result = try Generation(
      model, prompt: prompt.compactMap { $0.int.map(UInt32.init) }, limit: 32
    ) { _ in true }
    let wanted = ids.suffix(32).compactMap { $0.int.map(UInt32.init) }
    #expect(result.ids.prefix(sure) == wanted.prefix(sure), "\(name)")
  }
}
