internal import TensorCore

/// A `tokenizer.json` as Hugging Face writes it: text to ids and back, equal to the `tokenizers`
/// library for what it reads. What it does not read is refused by name (`Formats/tokenizer.md`).
///
/// It is immutable; any number of threads may use one at once.
public struct Tokenizer: Sendable {
  private let added: AddedTokens
  private let normalizers: [Normalizer]
  private let preTokenization: PreTokenization
  private let model: BPE
  private let postProcessor: PostProcessor
  /// nil where the file has none: tokens are then joined by spaces.
  private let decoders: [Decoder]?

  /// The largest text in bytes.
  public static let mostTextBytes = 1 << 30

  /// Reads the file at `path`. Throws `io`, `malformed` or `unsupported`. O(file).
  public init(path: String) throws {
    let limits = JSONLimits.tokenizer
    let bytes = try FileSystem.contents(of: path, limit: limits.maxBytes)
    try self.init(parsing: bytes, at: path)
  }

  /// Reads a `tokenizer.json`; `place` is what errors name.
  public init(parsing bytes: [UInt8], at place: String) throws {
    let json = try JSON(parsing: bytes, at: place, limits: .tokenizer)
    let root = try Component(json, at: place)
    guard let modelPart = try root.component("model") else {
      throw Failure.tokenizer(.fieldType, at: place, "there is no model")
    }
    let preTokenization = try PreTokenization(try root.component("pre_tokenizer"))
    let normalizers = try Normalizer.steps(try root.component("normalizer"))
    let model = try BPE(modelPart, isByteLevel: preTokenization.isByteLevel)
    var added = try AddedTokens(root, model.vocabulary)
    try added.index { try Self.normalized($0, normalizers) }
    postProcessor = try PostProcessor(try root.component("post_processor")) { id in
      added.byId[id] != nil || model.vocabulary.token(id) != nil
    }
    decoders = try root.component("decoder").map { try Decoder.steps($0) }
    self.preTokenization = preTokenization
    self.normalizers = normalizers
    self.model = model
    self.added = added
  }

  /// One more than the highest id of a token.
  public var idLimit: Int {
    max(model.vocabulary.idLimit, added.highestId + 1)
  }

  /// The id of a token by its name; nil where there is none.
  public func id(of token: String) -> Int? { added.id(of: token) ?? model.vocabulary.id(of: token) }

  /// The name of a token; nil where no token has the id.
  public func token(_ id: Int) -> String? {
    name(of: id).map { String(decoding: $0, as: UTF8.self) }
  }

  private func name(of id: Int) -> [UInt8]? {
    if let token = added.byId[id] { return token.name }
    return model.vocabulary.token(id).map { Array($0) }
  }

  // MARK: Encoding

  /// The ids of a text, with what the post-processor puts around them where `addsSpecialTokens`.
  public func encode(_ text: String, addsSpecialTokens: Bool = true) throws -> [UInt32] {
    try encode(valid: Array(text.utf8), addsSpecialTokens: addsSpecialTokens)
  }

  /// The ids of a text in UTF-8. Broken sequences count as U+FFFD, as after Python's
  /// `bytes.decode(errors="replace")`. Throws `unsupported` (TK-12, TK-16). Near O(n).
  public func encode(bytes: [UInt8], addsSpecialTokens: Bool = true) throws -> [UInt32] {
    try encode(valid: UTF8Text.repaired(bytes), addsSpecialTokens: addsSpecialTokens)
  }

  private func encode(valid text: [UInt8], addsSpecialTokens: Bool) throws -> [UInt32] {
    guard text.count <= Self.mostTextBytes else {
      throw Failure.tokenizer(
        .textLength, .unsupported, at: "text", "the text is too long",
        expected: "at most \(Self.mostTextBytes) bytes", found: "\(text.count)")
    }
    var encoder = BPEEncoder(model)
    var ids: [UInt32] = []
    try added.parts(of: text, in: added.raw) { range, id in
      if let id { return ids.append(UInt32(id)) }
      let part = range == 0..<text.count ? text : Array(text[range])
      try encode(part: part, isStart: range.lowerBound == 0, &encoder, into: &ids)
    }
    return addsSpecialTokens ? postProcessor.processed(ids) : ids
  }

  /// Encodes what is between the tokens that are looked for as they stand.
  private func encode(
    part: [UInt8], isStart: Bool, _ encoder: inout BPEEncoder, into ids: inout [UInt32]
  ) throws {
    let text = try Self.normalized(part, normalizers)
    try added.parts(of: text, in: added.normalized) { range, id in
      if let id { return ids.append(UInt32(id)) }
      let isFirst = isStart && range.lowerBound == 0
      try preTokenization.pieces(of: text, range, isStart: isFirst) { piece, range in
        encoder.encode(piece, range, into: &ids)
      }
    }
  }

  private static func normalized(_ text: [UInt8], _ steps: [Normalizer]) throws -> [UInt8] {
    try steps.reduce(text) { try $1.normalized($0) }
  }

  // MARK: Decoding

  /// The text of ids, without special tokens where `skipsSpecialTokens`. Bytes that are no UTF-8
  /// become U+FFFD. Throws `usage` for an id that belongs to no token (TK-15). O(ids).
  public func decode(_ ids: [UInt32], skipsSpecialTokens: Bool = true) throws -> String {
    var tokens: [[UInt8]] = []
    for id in ids {
      guard let name = name(of: Int(id)) else {
        throw Failure.tokenizer(
          .knownId, .usage, at: "ids", "an id that belongs to no token",
          expected: "below \(idLimit)", found: "\(id)")
      }
      if skipsSpecialTokens, isSpecial(Int(id)) { continue }
      tokens.append(name)
    }
    guard let decoders else {
      return String(decoding: Array(tokens.joined(separator: [UInt8(ascii: " ")])), as: UTF8.self)
    }
    let parts = try decoders.reduce(tokens) { try $1.decoded($0) }
    return String(decoding: Array(parts.joined()), as: UTF8.self)
  }

  /// Whether a token is left out of text that is decoded without special tokens. As at the peer, one
  /// whose name the normalizers change is not.
  public func isSpecial(_ id: Int) -> Bool {
    guard let token = added.byId[id], token.isSpecial else { return false }
    return token.name.elementsEqual(token.content.utf8)
  }
}
