/// A file with a model's logits for every predicted token of a text, in 16 bits each
/// (`Formats/saved-logits.md`).
enum SavedLogits {
  /// `NBLLOGIT`.
  static let magic = Array("NBLLOGIT".utf8)
  static let version: UInt32 = 1
  /// Magic, version, vocabulary, context, stride, windows, a zero, tokens.
  static let headerBytes = 40
  static let frameHeaderBytes = 16
  /// Bytes that the rows of one frame have at most, before compression; at least one row.
  static let frameBytes = 1 << 22
  static let mostVocabulary = 1 << 22
  static let mostContext = 1 << 24
  static let mostTokens = 1 << 28
  static let level = Zstd.Method.level(3)

  /// Codes up to this one are steps below the top; the next one is −∞.
  static let lastStep: UInt16 = 65_534

  static func rowBytes(_ vocabulary: Int) -> Int { 8 + 2 * vocabulary }

  static func rowsPerFrame(_ vocabulary: Int) -> Int {
    max(1, frameBytes / rowBytes(vocabulary))
  }

  /// Whether a file begins as one of these. Throws `io`.
  static func isOne(_ path: String) throws -> Bool {
    guard FileSystem.kind(of: path) == .file else { return false }
    let file = try InputFile(path: path)
    guard file.size >= magic.count else { return false }
    return try file.contents(0..<magic.count) == magic
  }
}

/// The rules of files of saved logits; a `Failure` cites one as `SL-n`.
///
/// The numbers are those of `Formats/saved-logits.md`: they are never given to another rule.
public enum SavedLogitsRule: Int, CaseIterable, Sendable {
  /// Magic and version are these.
  case magic = 1
  /// Sizes are within their limits, and the windows are those of the tokens.
  case header
  /// Frames lie one behind the other up to the end of the file.
  case frames
  /// A frame's checksum is right, and it expands to its size.
  case frame
  /// Ids are below the vocabulary.
  case ids
  /// A row's top is finite, its step finite and not negative.
  case row
  /// The text, its windows and the vocabulary are those of the model beside it.
  case sameText

  /// The number as errors print it, such as `SL-2`.
  public var name: String { "SL-\(rawValue)" }
}

extension Failure {
  static func savedLogits(
    _ rule: SavedLogitsRule, _ kind: Kind = .malformed, at path: String, _ what: String,
    expected: String? = nil, found: String? = nil
  ) -> Failure {
    Failure(kind, at: path, what, expected: expected, found: found, rule: rule.name)
  }
}
