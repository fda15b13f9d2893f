import TensorCore
import TestKit
import Testing
import Tokenizers

/// Texts equal to those of transformers' `apply_chat_template` (`Fixtures/chat-templates/make.py`).
@Suite struct ChatTemplateTests {
  static let cases = try? Self.json(Fixtures.path("chat-templates/cases.json"))
  static let names: [String] = cases?["templates"]?.object?.keys ?? []

  private static func json(_ path: String) throws -> JSON {
    try JSON(parsing: FileSystem.contents(of: path, limit: 1 << 24), at: path)
  }

  @Test func thereAreTemplates() { #expect(Self.names.count >= 12) }

  @Test(arguments: names) func template(name: String) throws {
    try Self.compare(name, try #require(Self.cases))
  }

  private static func compare(_ name: String, _ cases: JSON) throws {
    let source = try #require(cases["templates"]?[name]?.string)
    var tokens: [String: String] = [:]
    for member in cases["special_tokens"]?.object?.members ?? [] {
      tokens[member.key] = member.value.string
    }
    let template = try ChatTemplate(parsing: source, specialTokens: tokens, at: name)
    for answer in try #require(cases["answers"]?[name]?.object).members {
      let conversation = try #require(cases["conversations"]?[answer.key])
      let comment: Comment = "\(name), \(answer.key)"
      do {
        let text = try template.text(
          of: try #require(conversation["messages"]),
          addsGenerationPrompt: conversation["add_generation_prompt"]?.bool ?? true,
          variables: conversation["variables"]?.object ?? JSONObject(),
          today: CalendarDay(year: 2024, month: 7, day: 6))
        let expected = try #require(answer.value["text"]?.string, comment)
        #expect(Array(text.utf8) == Array(expected.utf8), comment)
      } catch let failure as Failure {
        #expect(answer.value["error"] != nil, "\(name), \(answer.key): \(failure)")
      }
    }
  }

  /// What is outside of the subset or broken, with the rule that says so.
  @Test(arguments: [
    ("{% include 'x' %}", "CT-2"), ("{% import 'x' as y %}", "CT-2"), ("{% call x() %}", "CT-2"),
    ("{{ x.__class__ }}", "CT-2"), ("{{ ''.format(1) }}", "CT-2"), ("{{ lipsum() }}", "CT-2"),
    ("{{ x|attr('y') }}", "CT-2"), ("{{ x is sameas y }}", "CT-2"), ("{{ f(*x) }}", "CT-2"),
    ("{{ 'a' % 1 }}", "CT-2"), ("{{ strftime_now('%d') }}", "CT-2"),
    ("{{ 'a'|safe + '<' }}", "CT-2"), ("{% for x in y recursive %}{% endfor %}", "CT-2"),
    ("{{ x", "CT-1"), ("{% if x %}", "CT-1"), ("{% endif %}", "CT-1"), ("{{ 'x }}", "CT-1"),
    ("{# x", "CT-1"), ("{{ 1 + }}", "CT-1"), ("{{ a b }}", "CT-1"), ("{{ ? }}", "CT-1"),
    ("{{ x[1:2:3:4] }}", "CT-1"), ("{% for 1 in x %}{% endfor %}", "CT-1"),
    ("{{ x.y.z }}", "CT-3"), ("{{ 1 + 'a' }}", "CT-3"), ("{{ 1 // 0 }}", "CT-3"),
    ("{% set x.y = 1 %}", "CT-3"), ("{{ none|length }}", "CT-3"),
    ("{% for a, b in [1] %}{% endfor %}", "CT-3"),
    ("{{ raise_exception('no') }}", "CT-5"),
  ]) func refused(source: String, rule: String) throws {
    do {
      let template = try ChatTemplate(parsing: "\n\n" + source, at: "t")
      let text = try template.text(of: [])
      Issue.record("gave \(text)")
    } catch let failure as Failure {
      #expect(failure.rule == rule, "\(failure)")
      #expect(failure.place == "t, line 3", "\(failure)")
    }
  }

  /// Templates that would take all time, memory or stack.
  @Test(arguments: [
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x] %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(50) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x == ns.x }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{{ 'a' * 9999999999 }}",
    "{{ range(9223372036854775807) }}", "{{ 'ab'|replace('a', 'b' * 3000000) * 9 }}",
    "{{ " + String(repeating: "(", count: 500) + "1" + String(repeating: ")", count: 500) + " }}",
    "{{ 1" + String(repeating: " + 1", count: 500) + " }}",
    "{{ " + String(repeating: "not ", count: 500) + "1 }}",
    String(repeating: "{% if 1 %}", count: 500),
  ]) func bounded(source: String) throws {
    let failure = #expect(throws: Failure.self) {
      try ChatTemplate(parsing: source, at: "t").text(of: [])
    }
    #expect(failure?.rule == "CT-4", "\(String(describing: failure))")
  }

  @Test func folderWithoutTemplate() throws {
    let failure = #expect(throws: Failure.self) {
      try ChatTemplate(folder: Fixtures.path("demo-model"))
    }
    #expect(failure?.rule == "CT-6")
  }
}
