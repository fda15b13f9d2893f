/// Names of tensors and files are told apart and sorted by their UTF-8 bytes, as the formats do.
/// Swift's own `==` and `<` take canonically equivalent spellings (`é` as one scalar or two) as one.
extension String {
  func precedesBytewise(_ other: String) -> Bool {
    // Of ASCII, Swift's order is that of the bytes, and compared many at a time.
    if utf8Span.isKnownASCII && other.utf8Span.isKnownASCII { return self < other }
    return utf8.lexicographicallyPrecedes(other.utf8)
  }

  func equalsBytewise(_ other: String) -> Bool {
    utf8.count == other.utf8.count && self == other && utf8.elementsEqual(other.utf8)
  }
}

extension RandomAccessCollection where Index == Int {
  /// The position of the element of that name, in a collection sorted by name bytewise, each name
  /// once; nil where there is none. O(log n).
  func position(of name: String, by key: (Element) -> String) -> Int? {
    var (low, high) = (startIndex, endIndex)
    while low < high {
      let middle = low + (high - low) / 2
      if key(self[middle]).precedesBytewise(name) { low = middle + 1 } else { high = middle }
    }
    return low < endIndex && key(self[low]).equalsBytewise(name) ? low : nil
  }
}
