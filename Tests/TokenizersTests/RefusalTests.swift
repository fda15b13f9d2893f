import TensorCore
import TestKit
import Testing
import Tokenizers

/// Files that must be refused with the rule they break, and texts and ids that must be.
@Suite struct RefusalTests {
  static let paths = (try? Fixtures.paths(in: "tokenizers/invalid")) ?? []

  @Test func thereAreFiles() { #expect(Self.paths.count >= 45) }

  @Test(arguments: paths) func file(path: String) throws {
    let failure = try #require(throws: Failure.self) { try Tokenizer(path: path) }
    #expect(failure.rule == Fixtures.rule(of: path), "\(failure)")
    #expect(failure.kind == .malformed || failure.kind == .unsupported, "\(failure)")
  }

  /// Every file cut short is refused, and never traps.
  @Test func truncated() throws {
    let path = Fixtures.path("tokenizers/valid/llama2.json")
    let bytes = try FileSystem.contents(of: path, limit: 1 << 24)
    for length in stride(from: 0, to: bytes.count - 2, by: 1009) {
      #expect(throws: Failure.self) {
        try Tokenizer(parsing: Array(bytes[..<length]), at: "cut")
      }
    }
  }

  @Test func unknownId() throws {
    let tokenizer = try Tokenizer(path: Fixtures.path("tokenizers/valid/llama3.json"))
    #expect(tokenizer.token(tokenizer.idLimit) == nil)
    for id in [UInt32(tokenizer.idLimit), .max] {
      let failure = try #require(throws: Failure.self) { try tokenizer.decode([0, id]) }
      #expect(failure.rule == "TK-15")
    }
  }

  /// A pattern that goes back again and again is stopped.
  @Test func patternThatGoesBack() throws {
    let tokenizer = try Self.splitting(at: "a+a+a+a+b")
    #expect(try tokenizer.encode("aaaab").count == 5)
    let failure = try #require(throws: Failure.self) {
      try tokenizer.encode(String(repeating: "a", count: 5000))
    }
    #expect(failure.rule == "TK-12")
  }

  /// Long runs stay near-linear: a quadratic step would take hours.
  @Test(.timeLimit(.minutes(2)), arguments: ["gpt2-opt", "llama2", "llama3", "qwen2", "o200k"])
  func longRuns(name: String) throws {
    let tokenizer = try Tokenizer(path: Fixtures.path("tokenizers/valid/\(name).json"))
    for byte in "aA \n'.\u{7F}".utf8 {
      let text = [UInt8](repeating: byte, count: 100_000)
      let ids = try tokenizer.encode(bytes: text, addsSpecialTokens: false)
      let decoded = try tokenizer.decode(ids)
      #expect(decoded.utf8.count == text.count)
    }
  }

  /// Small files that would take more memory or stack than there is.
  @Test(arguments: [
    (
      #""pre_tokenizer": {"type": "Sequence", "pretokenizers": ["#
        + many(#"{"type": "Digits"}"#, 65)
        + "]}", "TK-10"
    ),
    (
      #""post_processor": {"type": "TemplateProcessing", "special_tokens": {}, "single": ["#
        + many(#"{"Sequence": {"id": "A", "type_id": 0}}"#, 2) + "]}", "TK-13"
    ),
    (
      #""normalizer": {"type": "Replace", "content": "x", "pattern": {"String": ""#
        + String(repeating: "a", count: 5000) + #""}}"#, "TK-11"
    ),
  ])
  func fileThatGrows(component: String, rule: String) throws {
    let failure = try #require(throws: Failure.self) { try Self.tokenizer(with: component) }
    #expect(failure.rule == rule, "\(failure)")
  }

  /// Replacements that multiply a text are stopped, in what is read as well: added tokens are
  /// normalized when the file is opened.
  @Test func replacementsThatGrow() throws {
    let step =
      #"{"type": "Replace", "content": ""# + String(repeating: "a", count: 4000)
      + #"", "pattern": {"String": "a"}}"#
    let tokenizer = try Self.tokenizer(
      with: #""normalizer": {"type": "Sequence", "normalizers": ["# + many(step, 3) + "]}")
    let failure = try #require(throws: Failure.self) { try tokenizer.encode("a") }
    #expect(failure.rule == "TK-16")
  }

  private static func tokenizer(with component: String) throws -> Tokenizer {
    let text = """
      {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}, \(component)}
      """
    return try Tokenizer(parsing: Array(text.utf8), at: "test")
  }

  private static func splitting(at pattern: String) throws -> Tokenizer {
    let text = """
      {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
       "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\(pattern)"},
                         "behavior": "Isolated", "invert": false}}
      """
    return try Tokenizer(parsing: Array(text.utf8), at: "test")
  }
}

private func many(_ text: String, _ count: Int) -> String {
  Array(repeating: text, count: count).joined(separator: ", ")
}
