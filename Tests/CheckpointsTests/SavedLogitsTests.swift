import TestKit
import Testing

@testable import Checkpoints

@Suite struct SavedLogitsTests {
  private static let vocabulary = 50
  private static let ids = (0..<40).map { UInt32($0 * 11 % vocabulary) }

  private static func rows(_ count: Int) -> LogitBlock {
    var values = (0..<count * vocabulary).map { Float(($0 * 7919) % 1009) / 31 - 16 }
    values[3] = -.infinity
    for index in vocabulary..<2 * vocabulary { values[index] = 5 }
    return LogitBlock(values, vocabularySize: vocabulary)
  }

  private static func write(_ path: String, _ windows: TextWindows) throws -> LogitBlock {
    let all = rows(windows.targetCount)
    let writer = try SavedLogitsWriter(path, ids: ids, windows: windows, vocabulary: vocabulary)
    var rest: LogitBlock? = all
    while let now = rest {
      let (first, others) = now.split(at: 5)
      try writer.add(first)
      rest = others
    }
    _ = try writer.finish(sync: false)
    return all
  }

  @Test(arguments: [nil, 3]) func readsWhatWasWritten(stride: Int?) throws {
    let folder = try TemporaryFolder()
    let path = folder.path("logits")
    let windows = try TextWindows(tokens: Self.ids.count, context: 8, stride: stride, atMost: 4)
    let all = try Self.write(path, windows)
    #expect(try SavedLogits.isOne(path))
    let reader = try SavedLogitsReader(path)
    try reader.check(ids: Self.ids, windows: windows, vocabulary: Self.vocabulary)
    var values: [Float] = []
    while values.count < all.values.count { values += try reader.next(4).values }
    // Half a step of a row that spans 33 at most, and the rounding of f32.
    for (value, expected) in zip(values, all.values) {
      #expect(value == expected || (value - expected).magnitude <= 33 / 65_534 / 2 + 4e-6)
    }
    #expect(values[3] == -.infinity)
  }

  @Test func otherTexts() throws {
    let folder = try TemporaryFolder()
    let windows = try TextWindows(tokens: Self.ids.count, context: 8)
    _ = try Self.write(folder.path("logits"), windows)
    let reader = try SavedLogitsReader(folder.path("logits"))
    var ids = Self.ids
    ids[9] += 1
    let other = try TextWindows(tokens: ids.count, context: 10)
    for check in [
      { try reader.check(ids: ids, windows: windows, vocabulary: Self.vocabulary) },
      { try reader.check(ids: Self.ids, windows: other, vocabulary: Self.vocabulary) },
      { try reader.check(ids: Self.ids, windows: windows, vocabulary: 51) },
    ] {
      let failure = #expect(throws: Failure.self) { try check() }
      #expect(failure?.rule == "SL-7")
    }
  }

  /// Any damage is found; none traps.
  @Test func damage() throws {
    let folder = try TemporaryFolder()
    let windows = try TextWindows(tokens: Self.ids.count, context: 8)
    _ = try Self.write(folder.path("logits"), windows)
    let whole = try FileSystem.contents(of: folder.path("logits"), limit: 1 << 20)
    func read(_ bytes: [UInt8]) throws {
      let path = try folder.write(bytes, to: "damaged")
      let reader = try SavedLogitsReader(path)
      var left = reader.windows.targetCount
      while left > 0 { left -= try reader.next(left).count }
      // A change of sizes may leave a file that is one, of another text.
      try reader.check(ids: Self.ids, windows: windows, vocabulary: Self.vocabulary)
    }
    try read(whole)
    for index in whole.indices.prefix(200) + whole.indices.suffix(40) {
      var bytes = whole
      bytes[index] ^= 0x41
      #expect(throws: Failure.self, "byte \(index)") { try read(bytes) }
    }
    for count in [0, 7, 39, 40, 50, 100, whole.count - 1] {
      #expect(throws: Failure.self, "\(count) bytes") { try read(Array(whole.prefix(count))) }
    }
    #expect(throws: Failure.self) { try read(whole + [0]) }
  }

  @Test func rules() {
    #expect(SavedLogitsRule.allCases.map(\.name) == (1...7).map { "SL-\($0)" })
  }
}
