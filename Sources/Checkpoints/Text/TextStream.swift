/// Turns ids that come one by one into text that can be shown at once: never a part of a character.
///
/// A token's text depends on those before it (a first space may fall away), so each is decoded behind
/// the ones that were shown last.
public struct TextStream {
  private let tokenizer: Tokenizer
  private let skipsSpecialTokens: Bool
  private var ids: [UInt32] = []
  /// The ids before `shown` have been shown; those from `context` on are decoded again with the next.
  private var context = 0
  private var shown = 0

  /// A character has at most 4 bytes, so behind more tokens nothing is unfinished.
  private static let mostPending = 8

  public init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool = true) {
    self.tokenizer = tokenizer
    self.skipsSpecialTokens = skipsSpecialTokens
  }

  /// The text that became certain with this id; it may be empty. Throws `usage` for unknown ids.
  public mutating func add(_ id: UInt32) throws -> String {
    // What is left out can't be what the next one is decoded behind.
    if skipsSpecialTokens, tokenizer.isSpecial(Int(id)) { return "" }
    ids.append(id)
    return try text(isEnd: ids.count - shown >= Self.mostPending)
  }

  /// What was held back, broken bytes as U+FFFD.
  public mutating func finish() throws -> String { try text(isEnd: true) }

  private mutating func text(isEnd: Bool) throws -> String {
    let before = try decoded(context..<shown)
    let now = try decoded(context..<ids.count)
    if !isEnd, now.last == Self.replacement || now.count <= before.count { return "" }
    let new = now.dropFirst(before.count)
    context = shown
    shown = ids.count
    var text = String.UnicodeScalarView()
    text.append(contentsOf: new)
    return String(text)
  }

  private static let replacement: Unicode.Scalar = "\u{FFFD}"

  private func decoded(_ range: Range<Int>) throws -> [Unicode.Scalar] {
    Array(
      try tokenizer.decode(Array(ids[range]), skipsSpecialTokens: skipsSpecialTokens).unicodeScalars
    )
  }
}
