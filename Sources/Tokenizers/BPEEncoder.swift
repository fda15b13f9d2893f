/// Encodes pieces, remembering the words it has met and keeping its working memory.
///
/// A piece of n characters is O(n log n) where it is long and was not met before.
struct BPEEncoder {
  private let model: BPE
  private var words = ByteTable()
  /// The ids of each word: a range of `wordIds`.
  private var wordRanges: [Range<Int>] = []
  private var wordIds: [UInt32] = []
  private var merger = Merger()
  /// The symbols of the piece at hand.
  private var symbols: [UInt32] = []

  private static let mostWords = 1 << 16
  private static let longestWord = 96

  init(_ model: BPE) { self.model = model }

  /// Appends the ids of a piece.
  mutating func encode(_ text: [UInt8], _ range: Range<Int>, into ids: inout [UInt32]) {
    guard let mark = model.boundary else { return encodeWord(text, range, into: &ids) }
    for piece in BPE.cuts(of: text, range, before: mark) { encodeWord(text, piece, into: &ids) }
  }

  private mutating func encodeWord(
    _ text: [UInt8], _ range: Range<Int>, into ids: inout [UInt32]
  ) {
    guard range.count <= Self.longestWord else { return encodeNew(text, range, into: &ids) }
    if words.count == Self.mostWords { forget() }
    let (number, isNew) = words.add(text, range)
    if !isNew {
      for index in wordRanges[number] { ids.append(wordIds[index]) }
      return
    }
    let start = ids.count
    encodeNew(text, range, into: &ids)
    wordRanges.append(wordIds.count..<wordIds.count + ids.count - start)
    for index in start..<ids.count { wordIds.append(ids[index]) }
  }

  private mutating func forget() {
    words = ByteTable(capacity: Self.mostWords)
    wordRanges.removeAll(keepingCapacity: true)
    wordIds.removeAll(keepingCapacity: true)
  }

  private mutating func encodeNew(
    _ text: [UInt8], _ range: Range<Int>, into ids: inout [UInt32]
  ) {
    if model.ignoresMerges, let id = model.id(ofWhole: text, range) { return ids.append(id) }
    symbols.removeAll(keepingCapacity: true)
    model.symbols(of: text, range, into: &symbols)
    merger.merge(&symbols, by: model.merges)
    for symbol in symbols { ids.append(symbol) }
  }
}
