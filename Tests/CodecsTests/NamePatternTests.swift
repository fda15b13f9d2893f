import TensorCore
import TestKit
import Testing

@testable import Codecs

/// Patterns over names against Python's `re`, and against hostile configs.
@Suite struct NamePatternTests {
  /// One answer of Python's (`Fixtures/patterns/make.py`).
  private struct Row {
    let pattern: String
    /// nil where Python refuses the pattern.
    let name: String?
    let matchesPrefix: Bool
    let matchesWhole: Bool
  }

  private static func rows() throws -> [Row] {
    let path = Fixtures.path("patterns/cases.json")
    let json = try JSON(parsing: try FileSystem.contents(of: path, limit: 1_000_000), at: path)
    return try #require(json.array).map { row in
      let fields = try #require(row.array)
      try #require(fields.count == 4)
      return Row(
        pattern: try #require(fields[0].string), name: fields[1].string,
        matchesPrefix: fields[2].bool ?? false, matchesWhole: fields[3].bool ?? false)
    }
  }

  private static func kind(of pattern: String) -> Failure.Kind? {
    do {
      _ = try NamePattern(pattern, at: "test")
      return nil
    } catch {
      return (error as? Failure)?.kind
    }
  }

  @Test func matchesWhatPythonMatches() throws {
    let rows = try Self.rows().filter { $0.name != nil }
    #expect(rows.count > 250)
    for row in rows {
      let name = try #require(row.name)
      let pattern = try NamePattern(row.pattern, at: "test")
      #expect(
        pattern.matchesPrefix(of: name) == row.matchesPrefix, "match \(row.pattern) \(name)")
      #expect(pattern.matchesWhole(name) == row.matchesWhole, "fullmatch \(row.pattern) \(name)")
    }
  }

  @Test func refusesWhatPythonRefuses() throws {
    let rows = try Self.rows().filter { $0.name == nil }
    #expect(rows.count > 40)
    for row in rows {
      #expect(Self.kind(of: row.pattern) == .malformed, "\(row.pattern)")
    }
  }

  @Test(arguments: [
    (#"(a)\1"#, "a backreference or octal escape at position 3"),
    (#"\0"#, "a backreference or octal escape at position 0"),
    (#"[a\7]"#, "a backreference or octal escape at position 2"),
    (#"(?P<n>a)(?P=n)"#, "a backreference at position 8"),
    (#"(a)(?(1)b|c)"#, "a group of the kind `(?(` at position 3"),
    (#"a(?#b)"#, "a group of the kind `(?#` at position 1"),
    (#"a(?i:b)"#, "a group of the kind `(?i` at position 1"),
    (#"a(?|b)"#, "a group of the kind `(?|` at position 1"),
    (#"(?x)a b"#, "the flag x at position 0"),
    (#"(?<=a|bc)d"#, "a look-behind without a fixed width at position 0"),
    (#"(?<!a*)d"#, "a look-behind without a fixed width at position 0"),
    (#"a\K"#, #"the escape \K at position 1"#),
    (#"\p{L}"#, #"the escape \p at position 0"#),
    (#"[[:alpha:]]"#, "a POSIX class at position 1"),
  ])
  func namesWhatItDoesNotSupport(pattern: String, construct: String) throws {
    let failure = try #require(throws: Failure.self) { try NamePattern(pattern, at: "test") }
    #expect(failure.kind == .unsupported)
    #expect(failure.what == "a module pattern has \(construct), which is not supported")
  }

  @Test func citesTheRuleOfABrokenPattern() throws {
    let failure = try #require(throws: Failure.self) {
      try NamePattern("a(b", at: "dynamic", rule: "GPTQ-23")
    }
    #expect(
      failure.description
        == "dynamic: a module pattern is broken at position 1: `(` is not closed: found a(b (GPTQ-23)"
    )
  }

  /// Expressions on which backtracking without memory takes longer than the world will last.
  @Test(arguments: [
    "(a+)+$", "(a|a)*b", "(a|aa)+$", "(a*)*b", "((a*)*)*b", "(a?){200}b", "(.*)(.*)(.*)(.*)(.*)b",
    "(?=(a+)+b)", "(?!(a|a)*c)(a+)+b", "((?=(a|a)*b)|a)*b", "(?:(?>a|a)*a?)*b", "(?:a??){100}b",
    "(a|a|a|a|a|a)*?b", "(?:a(?=a*b)|a(?=(a+)+b)|a)*c", "((a{0,20}){0,20})*b",
    #"(\w+\.?)*-"#, "(a+a+)+b", "((((((((a*)*)*)*)*)*)*)*)*b", "(?:.*(?<=aa)a?)*b",
  ])
  func hostilePatternsEndSoon(pattern: String) throws {
    let compiled = try NamePattern(pattern, at: "test")
    let name = String(repeating: "a", count: 1000) + "!"
    let time = ContinuousClock().measure {
      #expect(!compiled.matchesWhole(name))
      #expect(!compiled.matchesPrefix(of: name))
    }
    #expect(time < .seconds(20), "\(pattern) took \(time)")
  }

  @Test func hostileSizesAreRefused() {
    let nested = { (depth: Int) in
      String(repeating: "(", count: depth) + "a" + String(repeating: ")", count: depth)
    }
    #expect(Self.kind(of: nested(32)) == nil)
    #expect(Self.kind(of: nested(33)) == .unsupported)
    #expect(Self.kind(of: nested(500)) == .unsupported)
    #expect(Self.kind(of: String(repeating: "(", count: 10_000)) == .unsupported)
    #expect(Self.kind(of: String(repeating: "a", count: 1024)) == nil)
    #expect(Self.kind(of: String(repeating: "a", count: 1025)) == .unsupported)
    #expect(Self.kind(of: "a{1000}") == nil)
    #expect(Self.kind(of: "a{0,1000}") == nil)
    #expect(Self.kind(of: "(a{1000}){1000}") == .unsupported)
    #expect(Self.kind(of: "((){1000}){1000}") == .unsupported)
    #expect(Self.kind(of: "(((((){1000}){1000}){1000}){1000}){1000}") == .unsupported)
    #expect(Self.kind(of: "a{99999999999999999999}") == .unsupported)
    #expect(Self.kind(of: "a{99999999999999999999,1}") == .malformed)
    let loops = String(repeating: "a*", count: 450)
    let around = String(repeating: "(", count: 20) + loops + String(repeating: ")*", count: 20)
    #expect(Self.kind(of: loops) == nil)
    #expect(Self.kind(of: around) == .unsupported)
  }

  @Test func namesBeyondAnyTensorsMatchNothing() throws {
    let pattern = try NamePattern(".*", at: "test")
    #expect(pattern.matchesWhole(String(repeating: "a", count: 4096)))
    #expect(!pattern.matchesWhole(String(repeating: "a", count: 4097)))
  }

  @Test func equalityIsThatOfTheTexts() throws {
    let composed = try NamePattern("\u{e9}", at: "test")
    #expect(try composed == NamePattern("\u{e9}", at: "elsewhere", rule: "GPTQ-23"))
    // The same character to Swift, but not the same scalars.
    #expect(try composed != NamePattern("e\u{301}", at: "test"))
  }

  /// Texts rich in what means something: each gives a pattern or a failure, and an answer.
  @Test func anyTextGivesAPatternOrAFailure() throws {
    let seed = SplitMix64(seed: 23)
    var random = seed
    let pieces = [
      "a", "b", ".", "*", "+", "?", "{2}", "{,3}", "{1,}", "(", "(?:", "(?=", "(?!", "(?<=", "(?>",
      "(?P<n>", ")", ")", ")", "|", "[", "]", "^", "-", "$", "\\", "\\d", "\\b", "\\x61", "(?i)",
      "é",
    ]
    var compiled = 0
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...14, using: &random)
      let text =
        Bool.random(using: &random)
        ? (0..<count).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
        : String(decoding: random.bytes(count), as: UTF8.self)
      do {
        let pattern = try NamePattern(text, at: "test")
        compiled += 1
        for name in ["", "a", "abab", "b\n", "éa-"] {
          // What matches all of a name matches from its start.
          #expect(
            !pattern.matchesWhole(name) || pattern.matchesPrefix(of: name),
            "\(text) \(name) of \(seed)")
        }
      } catch {
        let kind = (error as? Failure)?.kind
        #expect(kind == .malformed || kind == .unsupported, "\(text) of \(seed)")
      }
    }
    #expect(compiled > 1000)
  }

  @Test func configsAreReadWithTheirPatterns() throws {
    let config = { (pattern: String) in
      JSONObject([
        "quant_method": "gptq", "bits": 4, "dynamic": [pattern: ["bits": 8], "-:.*lm_head": [:]],
      ])
    }
    let codec = GPTQ.v1
    let scheme = try #require(try codec.scheme(from: config(#"+:.*\.(?!q_)\w+_proj"#)))
    let rules = scheme.rules()
    #expect(rules.settings(for: "layers.0.k_proj")?.bits == 8)
    #expect(rules.settings(for: "layers.0.q_proj")?.bits == 4)
    #expect(rules.settings(for: "model.lm_head") == nil)
    #expect(rules.mentions("model.lm_head") && !rules.mentions("layers.0.q_proj"))
    let failure = try #require(throws: Failure.self) { try codec.scheme(from: config("a(")) }
    #expect(failure.rule == "GPTQ-23")
  }
}
