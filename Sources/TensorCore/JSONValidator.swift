/// One pass over a JSON text that refuses all that the parser behind it would let through.
///
/// It keeps its own stack instead of recursing, copies no text, and remembers 24 bytes for each
/// key of the objects that are open. O(n log n) in the bytes at worst (the keys of one object are
/// sorted), O(n) otherwise. Rules: `JSONRule`.
struct JSONValidator {
  let bytes: [UInt8]
  let place: String
  let limits: JSONLimits
  var position = 0
  private var open: [Container] = []
  private var keys = OpenKeys()
  private var memberCount = 0
  private var objectCount = 0

  private enum Container {
    case array
    /// `firstKey` is where the object's keys begin among the open ones.
    case object(firstKey: Int)
  }

  private enum Awaited {
    case value, element, firstElement, key, firstKey, separator
  }

  /// The range of the document in `bytes`, without the blanks around it. Throws `malformed`.
  static func check(
    _ bytes: [UInt8], at place: String, limits: JSONLimits
  ) throws -> Range<Int> {
    var validator = JSONValidator(bytes: bytes, place: place, limits: limits)
    return try validator.document()
  }

  private init(bytes: [UInt8], place: String, limits: JSONLimits) {
    self.bytes = bytes
    self.place = place
    self.limits = limits
  }

  private mutating func document() throws -> Range<Int> {
    // The parser counts bytes in a C int.
    let maxBytes = min(limits.maxBytes, Int(Int32.max))
    guard bytes.count <= maxBytes else {
      throw failure(
        .textLength, at: maxBytes, "the text is too long", expected: "at most \(maxBytes) bytes",
        found: "\(bytes.count)")
    }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw failure(.noByteOrderMark, at: 0, "the text begins with a byte order mark")
    }
    skipBlanks()
    guard position < bytes.count else {
      throw failure(.notEmpty, at: position, "the text is empty")
    }
    let start = position
    try value()
    let end = position
    skipBlanks()
    guard position == bytes.count else { throw trailing() }
    return start..<end
  }

  /// Moves past one value and everything in it.
  private mutating func value() throws {
    var awaited = try beginValue(.value)
    while !open.isEmpty {
      skipBlanks()
      awaited = try step(awaited)
    }
  }

  /// Moves past one token of an open container.
  private mutating func step(_ awaited: Awaited) throws -> Awaited {
    switch awaited {
    case .firstElement where next == UInt8(ascii: "]"), .firstKey where next == UInt8(ascii: "}"):
      return try close()
    case .element where next == UInt8(ascii: "]"), .key where next == UInt8(ascii: "}"):
      throw failure(.noTrailingComma, at: position, "a comma stands before a closing bracket")
    case .value, .element, .firstElement: return try beginValue(awaited)
    case .key, .firstKey: return try key()
    case .separator: return try separator()
    }
  }

  private mutating func beginValue(_ awaited: Awaited) throws -> Awaited {
    if !open.isEmpty { try countMember() }
    switch next {
    case UInt8(ascii: "{")?:
      try countObject()
      try push(.object(firstKey: keys.count))
      return .firstKey
    case UInt8(ascii: "[")?:
      try push(.array)
      return .firstElement
    case UInt8(ascii: "\"")?: _ = try string()
    case UInt8(ascii: "-")?, (UInt8(ascii: "0")...UInt8(ascii: "9"))?: try number()
    case UInt8(ascii: "t")?: try literal("true")
    case UInt8(ascii: "f")?: try literal("false")
    case UInt8(ascii: "n")?: try literal("null")
    default: throw unexpectedValue(orEnd: awaited == .firstElement)
    }
    return .separator
  }

  private mutating func key() throws -> Awaited {
    guard next == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
    let start = position
    let text = try string()
    let key = text.escaped ? decoded(text.content)[...] : bytes[text.content]
    guard key.count <= limits.maxKeyBytes else {
      throw failure(
        .keyLength, at: start, "a key is too long",
        expected: "at most \(limits.maxKeyBytes) bytes", found: "\(key.count)")
    }
    keys.append(key, content: text.content)
    skipBlanks()
    guard next == UInt8(ascii: ":") else { throw unexpected("':'") }
    position += 1
    return .value
  }

  private mutating func separator() throws -> Awaited {
    switch (next, open.last) {
    case (UInt8(ascii: ",")?, .array):
      position += 1
      return .element
    case (UInt8(ascii: ",")?, .object):
      position += 1
      return .key
    case (UInt8(ascii: "]")?, .array), (UInt8(ascii: "}")?, .object): return try close()
    case (_, .array): throw unexpected("',' or ']'")
    default: throw unexpected("',' or '}'")
    }
  }

  private mutating func push(_ container: Container) throws {
    guard open.count < limits.usableDepth else {
      throw failure(
        .depth, at: position, "objects and arrays are nested too deep",
        expected: "at most \(limits.usableDepth)")
    }
    open.append(container)
    position += 1
  }

  private mutating func close() throws -> Awaited {
    if case .object(let firstKey)? = open.popLast() {
      if let content = keys.repeated(from: firstKey, decoded: decoded) {
        let name = String(decoding: decoded(content), as: UTF8.self)
        throw failure(
          .uniqueKeys, at: content.lowerBound - 1, "a key comes twice in one object",
          found: "\"\(name)\"")
      }
      keys.removeAll(from: firstKey)
    }
    position += 1
    return .separator
  }

  private mutating func countMember() throws {
    memberCount += 1
    guard memberCount <= limits.maxMembers else {
      throw failure(
        .memberCount, at: position, "too many members and elements",
        expected: "at most \(limits.maxMembers)")
    }
  }

  private mutating func countObject() throws {
    objectCount += 1
    guard objectCount <= limits.maxObjects else {
      throw failure(
        .objectCount, at: position, "too many objects", expected: "at most \(limits.maxObjects)")
    }
  }
}

extension JSONLimits {
  /// Freeing and copying values recurses, so the depth has a wall of its own.
  var usableDepth: Int { min(max(maxDepth, 0), 512) }
}
