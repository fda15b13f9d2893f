import TensorCore
import TestKit
import Tokenizers

/// The page of awkward text and what the peer makes of it (`Fixtures/tokenizers/make.py`).
enum Page {
  struct Case {
    var text: [UInt8]
    /// With what the post-processor adds, and without.
    var ids: [UInt32]
    var plain: [UInt32]
    /// The text of `ids` without special tokens, and with them.
    var decoded: [UInt8]
    var kept: [UInt8]
  }

  static func json(_ path: String) throws -> JSON {
    let bytes = try FileSystem.contents(of: path, limit: 1 << 24)
    return try JSON(parsing: bytes, at: path)
  }

  static func cases(_ expected: String) throws -> [Case] {
    let texts = try list(json(Fixtures.path("tokenizers/page.json"))).map { try bytes($0) }
    let answers = try list(json(Fixtures.path("tokenizers/\(expected).json")))
    guard texts.count == answers.count, !texts.isEmpty else { throw Broken() }
    return try zip(texts, answers).map { text, answer in
      Case(
        text: text, ids: try ids(answer["ids"]), plain: try ids(answer["plain"]),
        decoded: try bytes(answer["decoded"]), kept: try bytes(answer["kept"]))
    }
  }

  /// A fixture that is not of the form that the tests expect.
  struct Broken: Error {}

  static func list(_ json: JSON?) throws -> [JSON] {
    guard let list = json?.array else { throw Broken() }
    return list
  }

  static func ids(_ json: JSON?) throws -> [UInt32] {
    try list(json).map { value in
      guard let id = value.int.flatMap(UInt32.init(exactly:)) else { throw Broken() }
      return id
    }
  }

  private static func bytes(_ json: JSON?) throws -> [UInt8] {
    guard let digits = json?.string.map({ Array($0.utf8) }), digits.count % 2 == 0 else {
      throw Broken()
    }
    return try stride(from: 0, to: digits.count, by: 2).map { index in
      let pair = String(decoding: digits[index..<index + 2], as: UTF8.self)
      guard let byte = UInt8(pair, radix: 16) else { throw Broken() }
      return byte
    }
  }
}
