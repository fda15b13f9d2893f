internal import TensorCore

extension BPE {
  /// Reads `model`. `isByteLevel`: pieces are bytes by GPT-2's names.
  ///
  /// Throws `unsupported` for other models and for options that change ids, `malformed` for ids
  /// and merges that don't fit. O(file).
  init(_ model: Component, isByteLevel: Bool) throws {
    try Self.checkKind(model)
    guard let tokens = try model.component("vocab") else {
      throw Failure.tokenizer(.fieldType, at: model.place(of: "vocab"), "the field is missing")
    }
    let vocabulary = try Vocabulary(tokens.object, at: tokens.place)
    let ignoresMerges = try model.flag("ignore_merges", default: false)
    let (merges, unions) = try Self.merges(model, vocabulary)
    self.vocabulary = vocabulary
    self.merges = merges
    self.ignoresMerges = ignoresMerges
    fusesUnknown = try model.flag("fuse_unk", default: false)
    unknownId = try Self.unknownId(model, vocabulary)
    self.isByteLevel = isByteLevel
    let ascii = (UInt8(0)..<128).map { Unicode.Scalar($0) }
    byteIds = (isByteLevel ? ByteLevel.scalars : ascii).map { Self.id(of: String($0), vocabulary) }
    let falls = try model.flag("byte_fallback", default: false)
    fallback = falls ? (0..<256).map { Self.id(of: Self.fallbackName($0), vocabulary) } : []
    guard !isByteLevel || !falls || !byteIds.contains(-1) else {
      throw Failure.tokenizer(
        .modelOption, .unsupported, at: model.place,
        "byte_fallback behind ByteLevel is not supported")
    }
    spelled = isByteLevel && ignoresMerges ? Self.spelled(vocabulary) : nil
    let mayCut = !isByteLevel && !ignoresMerges
    boundary = mayCut ? Self.boundary(vocabulary, unions) : nil
  }

  private static func checkKind(_ model: Component) throws {
    // Files of old leave the type out where the fields tell it.
    let type = try model.optionalText("type") ?? (model.value("merges") == nil ? "none" : "BPE")
    guard type == "BPE" else {
      throw Failure.tokenizer(
        .model, .unsupported, at: model.place, "a model that is not supported", expected: "BPE",
        found: type)
    }
    if let dropout = model.value("dropout"), dropout.double != 0 {
      throw Failure.tokenizer(
        .modelOption, .unsupported, at: model.place(of: "dropout"),
        "merges would be left out at random", found: dropout.text())
    }
    for option in ["continuing_subword_prefix", "end_of_word_suffix"] {
      guard let text = try model.optionalText(option), !text.isEmpty else { continue }
      throw Failure.tokenizer(
        .modelOption, .unsupported, at: model.place(of: option), "the option is not supported",
        found: text)
    }
  }

  private static func id(of token: String, _ vocabulary: Vocabulary) -> Int32 {
    vocabulary.id(of: token).map(Int32.init) ?? -1
  }

  /// The token of a byte, such as `<0x0A>`.
  private static func fallbackName(_ byte: Int) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return byte < 16 ? "<0x0\(digits)>" : "<0x\(digits)>"
  }

  private static func unknownId(_ model: Component, _ vocabulary: Vocabulary) throws -> UInt32? {
    guard let token = try model.optionalText("unk_token") else { return nil }
    guard let id = vocabulary.id(of: token) else {
      throw Failure.tokenizer(
        .unknownToken, at: model.place(of: "unk_token"), "the token is not in the vocabulary",
        found: token)
    }
    return UInt32(id)
  }

  // MARK: Merges

  /// The table, and the ids that merges lead to.
  private static func merges(
    _ model: Component, _ vocabulary: Vocabulary
  ) throws -> (MergeTable, [UInt32]) {
    let list = try model.list("merges")
    var table = MergeTable(capacity: list.count)
    var unions: [UInt32] = []
    unions.reserveCapacity(list.count)
    for (rank, entry) in list.enumerated() {
      let place = { "\(model.place(of: "merges"))[\(rank)]" }
      let (left, right) = try parts(of: entry, at: place)
      let union = left + right
      guard let leftId = vocabulary.id(of: left), let rightId = vocabulary.id(of: right),
        let unionId = vocabulary.id(of: union)
      else {
        throw Failure.tokenizer(
          .merge, at: place(), "a part of the merge or its union is no token",
          found: String(decoding: left + [UInt8(ascii: " ")] + right, as: UTF8.self))
      }
      let merge = MergeTable.Merge(rank: UInt32(rank), id: UInt32(unionId))
      table.add(UInt32(leftId), UInt32(rightId), merge)
      unions.append(UInt32(unionId))
    }
    return (table, unions)
  }

  /// Both spellings: `"a b"` and `["a", "b"]`.
  private static func parts(
    of entry: JSON, at place: () -> String
  ) throws -> ([UInt8], [UInt8]) {
    if let text = entry.string {
      let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      if parts.count == 2 { return (Array(parts[0]), Array(parts[1])) }
    } else if let list = entry.array, list.count == 2, let left = list[0].string,
      let right = list[1].string
    {
      return (Array(left.utf8), Array(right.utf8))
    }
    throw Failure.tokenizer(
      .merge, at: place(), "not a merge", expected: "two tokens", found: entry.text())
  }

  // MARK: Short cuts

  private static func spelled(_ vocabulary: Vocabulary) -> (ByteTable, [Int32]) {
    var table = ByteTable(capacity: vocabulary.count)
    var ids: [Int32] = []
    for id in vocabulary.allIds {
      guard let token = vocabulary.token(Int(id)), let bytes = ByteLevel.bytes(spelledBy: token),
        table.add(bytes).isNew
      else { continue }
      ids.append(id)
    }
    return (table, ids)
  }

  /// `▁`, where it is a token and stands in no union behind another character: then no merge
  /// crosses the place between another character and it, and a text may be cut there.
  private static func boundary(_ vocabulary: Vocabulary, _ unions: [UInt32]) -> [UInt8]? {
    let mark = Array("\u{2581}".utf8)
    guard vocabulary.id(of: mark) != nil else { return nil }
    for id in unions {
      guard let token = vocabulary.token(Int(id)) else { continue }
      let text = Array(token)
      if cuts(of: text, 0..<text.count, before: mark).count > 1 { return nil }
    }
    return mark
  }

  /// The pieces of a text, each of which begins with a run of marks; the first may lack it. O(n).
  static func cuts(of text: [UInt8], _ range: Range<Int>, before mark: [UInt8]) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var start = range.lowerBound
    var index = start
    var isInMarks = true
    while index < range.upperBound {
      let isMark =
        text[index] == mark[0] && UTF8Text.hasPrefix(text, index..<range.upperBound, mark)
      if isMark, !isInMarks {
        pieces.append(start..<index)
        start = index
      }
      isInMarks = isMark
      index += isMark ? mark.count : UTF8Text.scalar(text, index).length
    }
    if start < range.upperBound { pieces.append(start..<range.upperBound) }
    return pieces
  }
}
