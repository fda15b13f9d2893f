import TensorCore
import TestKit
import Testing
import Tokenizers

/// Ids and texts equal to those of the `tokenizers` library, on every tokenizer of the fixtures.
@Suite struct PeerTests {
  static let names: [String] = {
    let paths = (try? Fixtures.paths(in: "tokenizers/valid")) ?? []
    return paths.map { String($0.fileName.dropLast(".json".count)) }
  }()

  @Test func thereAreTokenizers() { #expect(Self.names.count >= 20) }

  @Test(arguments: names) func page(name: String) throws {
    let tokenizer = try Tokenizer(path: Fixtures.path("tokenizers/valid/\(name).json"))
    try compare(tokenizer, "expected/\(name)")
  }

  /// The full-sized tokenizers, where they are at hand.
  @Test(.enabled(if: Fixtures.goldens != nil)) func goldens() throws {
    let known = try #require(Page.json(Fixtures.path("tokenizers/goldens.json")).object)
    #expect(!known.members.isEmpty)
    for member in known.members {
      for path in try Page.list(member.value).compactMap(\.string) {
        let full = try #require(Fixtures.goldens) + "/" + path
        try compare(try Tokenizer(path: full), "goldens/\(member.key)")
      }
    }
  }

  private func compare(_ tokenizer: Tokenizer, _ expected: String) throws {
    for (number, entry) in try Page.cases(expected).enumerated() {
      let comment: Comment = "\(expected), text \(number)"
      let ids = try tokenizer.encode(bytes: entry.text)
      #expect(ids == entry.ids, comment)
      #expect(
        try tokenizer.encode(bytes: entry.text, addsSpecialTokens: false) == entry.plain, comment)
      let decoded = try tokenizer.decode(entry.ids)
      #expect(Array(decoded.utf8) == entry.decoded, comment)
      let kept = try tokenizer.decode(entry.ids, skipsSpecialTokens: false)
      #expect(Array(kept.utf8) == entry.kept, comment)
    }
  }
}
