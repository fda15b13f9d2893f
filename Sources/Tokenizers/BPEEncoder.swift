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
    guard range.count <= Self.longestWord else {
      ids += encoded(text, range)
      return
    }
    if let number = words.find(text, range) {
      for index in wordRanges[number] { ids.append(wordIds[index]) }
      return
    }
    let new = encoded(text, range)
    remember(text, range, new)
    ids += new
  }

  private mutating func remember(_ text: [UInt8], _ range: Range<Int>, _ ids: [UInt32]) {
    if words.count == Self.mostWords {
      words = ByteTable(capacity: Self.mostWords)
      wordRanges.removeAll(keepingCapacity: true)
      wordIds.removeAll(keepingCapacity: true)
    }
    words.add(text, range)
    wordRanges.append(wordIds.count..<wordIds.count + ids.count)
    wordIds += ids
  }

  private mutating func encoded(_ text: [UInt8], _ range: Range<Int>) -> [UInt32] {
    if model.ignoresMerges, let id = model.id(ofWhole: text, range) { return [id] }
    var symbols: [UInt32] = []
    model.symbols(of: text, range, into: &symbols)
    merger.merge(&symbols, by: model.merges)
    return symbols
  }
}
