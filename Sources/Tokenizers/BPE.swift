internal import TensorCore

/// A byte-pair encoding: the vocabulary, the merges, and what becomes of unknown characters.
struct BPE: Sendable {
  let vocabulary: Vocabulary
  let merges: MergeTable
  let ignoresMerges: Bool
  let fusesUnknown: Bool
  let unknownId: UInt32?
  /// The ids of `<0x00>` to `<0xFF>`, −1 where there is none; empty without byte fallback.
  let fallback: [Int32]
  /// Whether pieces are bytes by GPT-2's names, else text.
  let isByteLevel: Bool
  /// The ids of the 256 bytes, or of the 128 characters of ASCII; −1 where there is none.
  let byteIds: [Int32]
  /// Tokens by the bytes that their names spell, and their ids, for `ignore_merges`.
  let spelled: (table: ByteTable, ids: [Int32])?
  /// The mark before which a text may be cut because no merge crosses that place.
  let boundary: [UInt8]?
}

extension BPE {
  /// The id of a whole piece that is a token.
  func id(ofWhole text: [UInt8], _ range: Range<Int>) -> UInt32? {
    guard let spelled else { return vocabulary.id(of: text, range).map(UInt32.init) }
    return spelled.table.find(text, range).map { UInt32(spelled.ids[$0]) }
  }

  /// Writes the ids of the characters of a piece, before any merge. O(length).
  func symbols(of text: [UInt8], _ range: Range<Int>, into symbols: inout [UInt32]) {
    var unknown: UInt32?
    var index = range.lowerBound
    while index < range.upperBound {
      let length = isByteLevel ? 1 : UTF8Text.scalar(text, index).length
      let character = index..<index + length
      index += length
      if let id = id(ofCharacter: text, character) {
        if let known = unknown { symbols.append(known) }
        unknown = nil
        symbols.append(id)
      } else if let bytes = fallbackIds(text, character) {
        symbols += bytes
      } else if let unknownId {
        if let known = unknown, !fusesUnknown { symbols.append(known) }
        unknown = unknownId
      }
    }
    if let unknown { symbols.append(unknown) }
  }

  private func id(ofCharacter text: [UInt8], _ range: Range<Int>) -> UInt32? {
    let byte = Int(text[range.lowerBound])
    guard byte < byteIds.count else { return vocabulary.id(of: text, range).map(UInt32.init) }
    let id = byteIds[byte]
    return id < 0 ? nil : UInt32(id)
  }

  /// One id for each byte of a character; nil where one has none.
  private func fallbackIds(_ text: [UInt8], _ range: Range<Int>) -> [UInt32]? {
    guard !fallback.isEmpty else { return nil }
    var ids: [UInt32] = []
    for byte in text[range] {
      guard fallback[Int(byte)] >= 0 else { return nil }
      ids.append(UInt32(fallback[Int(byte)]))
    }
    return ids
  }
}
