internal import TensorCore

/// Tokens and their ids; both are unique.
struct Vocabulary: Sendable {
  private var tokens: ByteTable
  /// The id of each string of `tokens`.
  private var ids: [Int32] = []
  /// The string of each id, −1 where an id has none.
  private var numbers: [Int32] = []

  /// No more ids than this for each token, so that memory follows the file.
  private static let spread = 8
  private static let leastLimit = 65_536

  /// Reads `model.vocab`. Throws `malformed` where ids repeat or are out of range.
  init(_ vocabulary: JSONObject, at place: String) throws {
    let members = vocabulary.members
    tokens = ByteTable(capacity: members.count)
    let limit = max(Self.leastLimit, members.count * Self.spread)
    for member in members {
      guard let id = member.value.int, (0..<limit).contains(id) else {
        throw Failure.tokenizer(
          .vocabularyId, at: place, "a token has an id out of range",
          expected: "a whole number from 0 below \(limit)",
          found: "\(member.value.text()) for \"\(member.key)\"")
      }
      guard add(Array(member.key.utf8), id: id) else {
        throw Failure.tokenizer(
          .vocabularyId, at: place, "two tokens have one id", found: "\(id), \"\(member.key)\"")
      }
    }
  }

  /// Tokens that were read.
  var count: Int { tokens.count }

  /// One more than the highest id.
  var idLimit: Int { numbers.count }

  /// Adds a token that is not there; false where its id is taken.
  private mutating func add(_ token: [UInt8], id: Int) -> Bool {
    let (number, isNew) = tokens.add(token)
    guard isNew else { return false }
    ids.append(Int32(id))
    while numbers.count <= id { numbers.append(-1) }
    guard numbers[id] < 0 else { return false }
    numbers[id] = Int32(number)
    return true
  }

  func id(of token: [UInt8], _ range: Range<Int>) -> Int? {
    tokens.find(token, range).map { Int(ids[$0]) }
  }

  func id(of token: [UInt8]) -> Int? { id(of: token, 0..<token.count) }

  func id(of token: String) -> Int? { id(of: Array(token.utf8)) }

  /// The UTF-8 of a token; nil where the id has none.
  func token(_ id: Int) -> ArraySlice<UInt8>? {
    guard numbers.indices.contains(id), numbers[id] >= 0 else { return nil }
    return tokens[Int(numbers[id])]
  }

  /// The ids of all tokens, in the order of the file.
  var allIds: [Int32] { ids }
}
