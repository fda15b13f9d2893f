internal import TensorCore
public import Tokenizers

/// One piece of calibration text in tokens.
public struct CalibrationDocument: Sendable, Equatable {
  public let ids: [Int32]
  /// Whether its tokens may be joined with others': ids that were given are windows by themselves.
  public let isText: Bool

  public init(ids: [Int32], isText: Bool) {
    (self.ids, self.isText) = (ids, isText)
  }
}

/// Turns files into documents: `.txt` is one document, `.jsonl` one a line, `.json` a list of lists of ids.
///
/// A line has `text`, `messages`, which go through the model's chat template, or `input_ids` (or `ids`), or
/// is a list of ids.
public struct CalibrationReader {
  private static let mostBytes = 1 << 30

  private let tokenizer: () throws -> Tokenizer
  private let template: () throws -> ChatTemplate

  /// The tokenizer and the template are read when the first text asks for them.
  public init(
    tokenizer: @escaping () throws -> Tokenizer, template: @escaping () throws -> ChatTemplate
  ) {
    var (readTokenizer, readTemplate): (Tokenizer?, ChatTemplate?)
    self.tokenizer = {
      let made = try readTokenizer ?? tokenizer()
      readTokenizer = made
      return made
    }
    self.template = {
      let made = try readTemplate ?? template()
      readTemplate = made
      return made
    }
  }

  /// Of a model's folder.
  public init(folder: String) {
    self.init {
      do {
        return try Tokenizer(path: folder + "/tokenizer.json")
      } catch let failure as Failure where failure.kind == .io {
        throw Failure(
          .io, at: failure.place, "text needs the model's tokenizer", found: failure.found,
          remedy: "--calibration takes lists of ids (.json) without one")
      }
    } template: {
      try ChatTemplate(folder: folder)
    }
  }

  /// All documents of a file. Throws `malformed`, naming the line, where it is no UTF-8 or no such JSON; `io`.
  public func documents(of path: String) throws -> [CalibrationDocument] {
    let bytes = try FileSystem.contents(of: path, limit: Self.mostBytes)
    if path.hasSuffix(".jsonl") {
      return try lines(bytes).map { number, line in
        try document(JSON(parsing: line, at: "\(path):\(number)"), at: "\(path):\(number)")
      }
    }
    if path.hasSuffix(".json") {
      let json = try JSON(parsing: bytes, at: path, limits: .tokenizer)
      guard let lists = (json["input_ids"] ?? json).array else {
        throw Self.failure(path, "no list of lists of ids", found: "other JSON")
      }
      return try lists.map { CalibrationDocument(ids: try Self.ids($0, at: path), isText: false) }
    }
    return [try document(text: bytes, at: path)]
  }

  /// A text as one document.
  public func document(text bytes: [UInt8], at place: String) throws -> CalibrationDocument {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Self.failure(place, "the text is not UTF-8", found: "other bytes")
    }
    return try document(text: text)
  }

  private func document(text: String) throws -> CalibrationDocument {
    let ids = try tokenizer().encode(text, addsSpecialTokens: false)
    return CalibrationDocument(ids: ids.map { Int32(bitPattern: $0) }, isText: true)
  }

  private func document(_ json: JSON, at place: String) throws -> CalibrationDocument {
    if let text = json["text"]?.string { return try document(text: text) }
    if let messages = json["messages"] {
      let text = try template().text(of: messages, addsGenerationPrompt: false)
      return try document(text: text)
    }
    if let list = json["input_ids"] ?? json["ids"] ?? (json.array.map(JSON.array)) {
      return CalibrationDocument(ids: try Self.ids(list, at: place), isText: false)
    }
    throw Self.failure(place, "a line of no kind that is read", found: "other JSON")
  }

  private func lines(_ bytes: [UInt8]) -> [(number: Int, bytes: [UInt8])] {
    bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
      .map { ($0 + 1, Array($1)) }
      .filter { !$0.1.allSatisfy { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 } }
  }

  private static func ids(_ json: JSON, at place: String) throws -> [Int32] {
    guard let numbers = json.array?.map({ $0.int.flatMap(Int32.init(exactly:)) }),
      !numbers.contains(nil)
    else { throw failure(place, "no list of ids", found: "other JSON") }
    return numbers.compactMap(\.self)
  }

  private static func failure(_ place: String, _ what: String, found: String) -> Failure {
    Failure(
      .malformed, at: place, what,
      expected: "UTF-8 text, or lines with text, messages or input_ids", found: found)
  }
}
