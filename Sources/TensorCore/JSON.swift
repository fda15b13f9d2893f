/// A JSON value that keeps what a rewritten config must keep: the order of keys and the spelling
/// of numbers.
public enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  /// The number as it is spelled, so `1e-05` stays `1e-05`.
  case number(String)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

/// Keys and values in the order of the text; keys are unique, compared byte by byte.
public struct JSONObject: Sendable, Equatable {
  public private(set) var members: [Member]
  /// Where each key is; empty while there are so few that looking through them is faster.
  private var positions: [ExactKey: Int]

  private static let scannedCount = 8

  public struct Member: Sendable, Equatable {
    public let key: String
    public var value: JSON
  }

  public init() {
    members = []
    positions = [:]
  }

  /// `members` in their order, whose keys the caller knows to differ. O(n).
  init(uniqueMembers members: [Member]) {
    self.init()
    self.members = members
    index()
  }

  public init(_ pairs: KeyValuePairs<String, JSON>) {
    self.init()
    for (key, value) in pairs { self[key] = value }
  }

  public var keys: [String] { members.map(\.key) }

  /// The value under `key`; assigning nil removes it, assigning a new key appends it. O(1) to read
  /// and to append, O(n) to remove.
  public subscript(key: String) -> JSON? {
    get { position(of: key).map { members[$0].value } }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): members[position].value = value
      case (nil, let value?): append(Member(key: key, value: value))
      case (let position?, nil):
        members.remove(at: position)
        index()
      case (nil, nil): break
      }
    }
  }

  private func position(of key: String) -> Int? {
    guard positions.isEmpty else { return positions[ExactKey(key)] }
    return members.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
  }

  private mutating func append(_ member: Member) {
    members.append(member)
    if positions.isEmpty { return index() }
    positions[ExactKey(member.key)] = members.count - 1
  }

  private mutating func index() {
    positions = [:]
    guard members.count > Self.scannedCount else { return }
    positions.reserveCapacity(members.count)
    for (index, member) in members.enumerated() { positions[ExactKey(member.key)] = index }
  }
}

/// A key compared by its UTF-8 bytes. Strings compare by canonical equivalence, under which two
/// keys that JSON tells apart (`é` as one scalar or as two) would be one.
private struct ExactKey: Hashable, Sendable {
  let text: String

  init(_ text: String) {
    // A text of many pieces is made contiguous here, once.
    var text = text
    text.makeContiguousUTF8()
    self.text = text
  }

  static func == (left: ExactKey, right: ExactKey) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    for byte in text.utf8 { hasher.combine(byte) }
  }
}

extension JSON {
  public static func integer(_ value: some BinaryInteger) -> JSON { .number(String(value)) }

  /// The shortest spelling that reads back as `value`; null where it is not finite.
  public static func real(_ value: Double) -> JSON {
    value.isFinite ? .number(String(value)) : .null
  }

  public static func strings(_ values: some Sequence<String>) -> JSON {
    .array(values.map(JSON.string))
  }

  public var isNull: Bool { self == .null }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
  /// The number as an `Int`; nil for fractions, exponents and what does not fit.
  public var int: Int? { if case .number(let text) = self { Int(text) } else { nil } }
  public var double: Double? { if case .number(let text) = self { Double(text) } else { nil } }

  public subscript(key: String) -> JSON? { object?[key] }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }
}
