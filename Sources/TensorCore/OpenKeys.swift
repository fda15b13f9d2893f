/// The keys of all objects that are open, innermost last: 24 bytes each.
///
/// Keys are found equal when their object closes: sorted by a hash seeded anew in each process, so
/// no text can be made whose keys collide. O(n log n) for n keys of one object.
struct OpenKeys {
  private var records: [Record] = []

  private struct Record {
    let hash: Int
    /// Where the key stands in the text, between its quotes.
    let content: Range<Int>
  }

  var count: Int { records.count }

  /// Adds the decoded `key` of the innermost object.
  mutating func append(_ key: ArraySlice<UInt8>, content: Range<Int>) {
    var hasher = Hasher()
    // SAFETY: the pointer is used only inside the closure.
    unsafe key.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    records.append(Record(hash: hasher.finalize(), content: content))
  }

  /// Forgets the keys from `first` on.
  mutating func removeAll(from first: Int) {
    records.removeLast(records.count - first)
  }

  /// The earliest of the keys from `first` on that repeats another of them.
  func repeated(from first: Int, decoded: (Range<Int>) -> [UInt8]) -> Range<Int>? {
    guard records.count > first + 1 else { return nil }
    let sorted = records[first...].sorted {
      ($0.hash, $0.content.lowerBound) < ($1.hash, $1.content.lowerBound)
    }
    var earliest: Range<Int>?
    for (index, record) in sorted.enumerated() {
      let twin = sorted[(index + 1)...].prefix { $0.hash == record.hash }
        .first { decoded($0.content) == decoded(record.content) }
      guard let twin else { continue }
      if earliest.map({ twin.content.lowerBound < $0.lowerBound }) ?? true {
        earliest = twin.content
      }
    }
    return earliest
  }
}
