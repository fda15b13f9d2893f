import Checkpoints
import TestKit
import Testing

/// Pieces that are shown one by one are whole characters and make the whole text together.
@Suite struct TextStreamTests {
  private static let text = "Größe 🙂👩‍👩‍👧 日本語 \u{0928}\u{093F} end\n  two"

  @Test func pieces() throws {
    let all = try Fixtures.paths(in: "tokenizers/valid")
    for path in all {
      let tokenizer = try Tokenizer(path: path)
      let ids = try tokenizer.encode(Self.text, addsSpecialTokens: false)
      let whole = try tokenizer.decode(ids)
      var stream = TextStream(tokenizer)
      var pieces: [String] = []
      for id in ids { pieces.append(try stream.add(id)) }
      pieces.append(try stream.finish())
      #expect(Array(pieces.joined().utf8) == Array(whole.utf8), "\(path)")
      if !whole.unicodeScalars.contains("\u{FFFD}") {
        #expect(!pieces.contains { $0.unicodeScalars.contains("\u{FFFD}") }, "\(path)")
      }
    }
  }
}
