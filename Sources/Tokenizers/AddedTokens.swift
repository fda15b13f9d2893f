internal import TensorCore

/// A token that is looked for in the text itself, before anything is cut.
struct AddedToken: Sendable {
  var content: String
  /// What it is called when ids are turned into text: the content, normalized where it is looked
  /// for in normalized text.
  var name: [UInt8]
  var id: Int
  /// Only where no letter, digit or underscore touches it.
  var isSingleWord: Bool
  /// Takes the blanks before it.
  var stripsLeft: Bool
  /// Takes the blanks behind it.
  var stripsRight: Bool
  /// Is looked for in the normalized text.
  var isNormalized: Bool
  /// Is left out of decoded text where that is asked for.
  var isSpecial: Bool
}

/// The added tokens of a tokenizer, by content and by id.
struct AddedTokens: Sendable {
  private(set) var byId: [Int: AddedToken] = [:]
  /// −1 where there is none.
  private(set) var highestId = -1
  private var ids = ByteTable()
  private var idOfNumber: [Int] = []
  private(set) var raw = TokenTrie()
  private(set) var normalized = TokenTrie()

  init() {}

  mutating func add(_ token: AddedToken) {
    let (number, isNew) = ids.add(Array(token.content.utf8))
    if isNew { idOfNumber.append(token.id) } else { idOfNumber[number] = token.id }
    byId[token.id] = token
    highestId = max(highestId, token.id)
  }

  func id(of content: String) -> Int? { ids.find(Array(content.utf8)).map { idOfNumber[$0] } }

  /// Makes the tables for searching; `normalize` is what happens to texts before they are cut.
  mutating func index(normalize: ([UInt8]) throws -> [UInt8]) rethrows {
    for token in byId.values.sorted(by: { $0.id < $1.id }) {
      let content = Array(token.content.utf8)
      if token.isNormalized {
        let name = try normalize(content)
        normalized.add(name, id: token.id)
        byId[token.id]?.name = name
      } else {
        raw.add(content, id: token.id)
      }
    }
  }

  /// Hands on the parts of a text in their order: an added token, or text between them. O(n) times
  /// the length of the longest token at worst.
  func parts(
    of text: [UInt8], in trie: TokenTrie, take: (Range<Int>, _ id: Int?) throws -> Void
  ) rethrows {
    var done = 0
    var index = 0
    while let match = trie.match(in: text, from: index) {
      index = match.range.upperBound
      guard let token = byId[match.id] else { continue }
      if token.isSingleWord, !Self.standsAlone(match.range, in: text) { continue }
      var (start, end) = (match.range.lowerBound, match.range.upperBound)
      if token.stripsLeft { start = max(Self.blanksStart(before: start, in: text), done) }
      if token.stripsRight { end = Self.blanksEnd(after: end, in: text) }
      if done < start { try take(done..<start, nil) }
      try take(match.range, match.id)
      done = end
    }
    if done < text.count { try take(done..<text.count, nil) }
  }

  // MARK: What is beside a token

  private static func standsAlone(_ range: Range<Int>, in text: [UInt8]) -> Bool {
    if range.lowerBound > 0 {
      let before = UTF8Text.start(before: range.lowerBound, in: text)
      if isWord(UTF8Text.scalar(text, before).value) { return false }
    }
    guard range.upperBound < text.count else { return true }
    return !isWord(UTF8Text.scalar(text, range.upperBound).value)
  }

  /// `\w` of Unicode's annex on regular expressions (UTS 18, C).
  private static func isWord(_ value: UInt32) -> Bool {
    guard let scalar = Unicode.Scalar(value) else { return false }
    if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { return true }
    return switch scalar.properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
    default: false
    }
  }

  private static func blanksStart(before end: Int, in text: [UInt8]) -> Int {
    var start = end
    while start > 0 {
      let before = UTF8Text.start(before: start, in: text)
      guard isBlank(text, before) else { break }
      start = before
    }
    return start
  }

  private static func blanksEnd(after start: Int, in text: [UInt8]) -> Int {
    var end = start
    while end < text.count, isBlank(text, end) { end += UTF8Text.scalar(text, end).length }
    return end
  }

  private static func isBlank(_ text: [UInt8], _ index: Int) -> Bool {
    ScalarClass(of: UTF8Text.scalar(text, index).value).contains(.whitespace)
  }
}

/// The contents of added tokens as a tree of bytes; the leftmost, then the longest matches.
struct TokenTrie: Sendable {
  /// The next node, by node and byte.
  private var edges: [Int: Int32] = [:]
  /// The id of the token that ends at each node, −1 where none does.
  private var ends: [Int32] = [-1]
  private var isFirst = [Bool](repeating: false, count: 256)

  /// Adds a token; where two have the same content, the first stays. O(length).
  mutating func add(_ content: [UInt8], id: Int) {
    guard let first = content.first else { return }
    isFirst[Int(first)] = true
    var node = 0
    for byte in content {
      if let next = edges[node << 8 | Int(byte)] {
        node = Int(next)
      } else {
        edges[node << 8 | Int(byte)] = Int32(ends.count)
        node = ends.count
        ends.append(-1)
      }
    }
    if ends[node] < 0 { ends[node] = Int32(id) }
  }

  /// The first token at or behind `start`.
  func match(in text: [UInt8], from start: Int) -> (range: Range<Int>, id: Int)? {
    guard !edges.isEmpty else { return nil }
    var index = start
    while index < text.count {
      if isFirst[Int(text[index])], let match = longest(in: text, at: index) { return match }
      index += 1
    }
    return nil
  }

  private func longest(in text: [UInt8], at start: Int) -> (range: Range<Int>, id: Int)? {
    var best: (Range<Int>, Int)?
    var node = 0
    var index = start
    while index < text.count, let next = edges[node << 8 | Int(text[index])] {
      node = Int(next)
      index += 1
      if ends[node] >= 0 { best = (start..<index, Int(ends[node])) }
    }
    return best
  }
}
