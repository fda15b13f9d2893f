/// The keys of all objects that are open, innermost last: 24 bytes each.
///
/// Keys are found equal when their object closes: sorted by a hash seeded anew in each process, so
/// no text can be made whose keys collide. O(n log n) for n keys of one object.
struct OpenKeys {
  private var records: [Record] = []

  /// Objects of so few keys are not worth sorting.
  private static let comparedCount = 8

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
    if records.count - first <= Self.comparedCount {
      return repeatedAmongFew(from: first, decoded: decoded)
    }
    let sorted = records[first...].sorted {
      ($0.hash, $0.content.lowerBound) < ($1.hash, $1.content.lowerBound)
    }
    var earliest: Range<Int>?
    for index in sorted.indices {
      guard let twin = Self.twin(ofKeyAt: index, in: sorted, decoded: decoded) else { continue }
      if let known = earliest, known.lowerBound < twin.lowerBound { continue }
      earliest = twin
    }
    return earliest
  }

  /// Each key against those before it: no memory is taken.
  private func repeatedAmongFew(
    from first: Int, decoded: (Range<Int>) -> [UInt8]
  ) -> Range<Int>? {
    for later in first..<records.count {
      for earlier in first..<later where records[earlier].hash == records[later].hash {
        if decoded(records[earlier].content) == decoded(records[later].content) {
          return records[later].content
        }
      }
    }
    return nil
  }

  /// The next key that equals the one at `index`; only keys of the same hash are looked at.
  private static func twin(
    ofKeyAt index: Int, in sorted: [Record], decoded: (Range<Int>) -> [UInt8]
  ) -> Range<Int>? {
    var other = index + 1
    while other < sorted.count, sorted[other].hash == sorted[index].hash {
      if decoded(sorted[other].content) == decoded(sorted[index].content) {
        return sorted[other].content
      }
      other += 1
    }
    return nil
  }
}
