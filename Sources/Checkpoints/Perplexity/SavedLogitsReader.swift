/// Reads a file of saved logits, frame by frame. Whatever its bytes are, memory stays at one frame and
/// the ids.
final class SavedLogitsReader: LogitStream {
  let path: String
  let vocabularySize: Int
  let windows: TextWindows
  let ids: [UInt32]
  private let file: InputFile
  private var position = 0
  private var rowsRead = 0
  private var pending: LogitBlock?

  /// Reads the header and the ids. Throws `malformed` (SL-1 to SL-5), `io`.
  init(_ path: String) throws {
    self.path = path
    file = try InputFile(path: path)
    let header = try Self.header(file)
    vocabularySize = header.vocabulary
    windows = header.windows
    let (content, next) = try Self.frame(
      file, at: SavedLogits.headerBytes, size: windows.tokens * 4)
    position = next
    ids = try Self.ids(content, vocabularySize, at: path)
  }

  private static func header(
    _ file: InputFile
  ) throws -> (vocabulary: Int, windows: TextWindows) {
    let size = SavedLogits.headerBytes
    guard file.size >= size else {
      throw Failure.savedLogits(
        .header, at: file.path, "the file ends inside of its header",
        expected: "\(size) bytes", found: "\(file.size)")
    }
    let bytes = try file.contents(0..<size)
    let words = (0..<8).map { Int(bytes.rawSpan.uint32(at: 2 + $0)) }
    guard Array(bytes[..<8]) == SavedLogits.magic, words[0] == Int(SavedLogits.version) else {
      throw Failure.savedLogits(
        .magic, at: file.path, "not saved logits of version \(SavedLogits.version)")
    }
    let tokens = words[6] | words[7] << 32
    guard (1...SavedLogits.mostVocabulary).contains(words[1]),
      (2...SavedLogits.mostContext).contains(words[2]), words[3] <= words[2], words[5] == 0,
      (2...SavedLogits.mostTokens).contains(tokens), tokens <= file.size,
      let windows = try? TextWindows(
        tokens: tokens, context: words[2], stride: words[3] == 0 ? nil : words[3],
        atMost: max(words[4], 1)),
      windows.count == words[4]
    else {
      throw Failure.savedLogits(.header, at: file.path, "sizes that do not belong together")
    }
    return (words[1], windows)
  }

  /// The content of the frame at `position`, which has `size` bytes, and where the next one begins.
  private static func frame(
    _ file: InputFile, at position: Int, size: Int
  ) throws -> (content: [UInt8], next: Int) {
    let start = position + SavedLogits.frameHeaderBytes
    guard start <= file.size else { throw cut(file) }
    let header = try file.contents(position..<start)
    let low = Int(header.rawSpan.uint32(at: 0))
    let end = start + low
    guard header.rawSpan.uint32(at: 1) == 0, end <= file.size, low <= Zstd.bound(size) else {
      throw cut(file)
    }
    let frame = try file.contents(start..<end)
    let sum = UInt64(header.rawSpan.uint32(at: 2)) | UInt64(header.rawSpan.uint32(at: 3)) << 32
    guard XXH64.hash(frame.rawSpan) == sum, Zstd.contentSize(frame.rawSpan) == size else {
      throw damaged(file, position)
    }
    var content = AlignedBytes(count: size)
    guard content.withMutableBytes(count: size, { Zstd.expand(frame.rawSpan, into: &$0) }) else {
      throw damaged(file, position)
    }
    return (content.bytes.array, end)
  }

  private static func cut(_ file: InputFile) -> Failure {
    .savedLogits(.frames, at: file.path, "a frame does not end inside of the file")
  }

  private static func damaged(_ file: InputFile, _ position: Int) -> Failure {
    .savedLogits(.frame, at: file.path, "a frame is damaged", found: "at byte \(position)")
  }

  private static func ids(
    _ content: [UInt8], _ vocabulary: Int, at path: String
  ) throws -> [UInt32] {
    try (0..<content.count / 4).map { index in
      let id = content.rawSpan.uint32(at: index)
      guard id < vocabulary else {
        throw Failure.savedLogits(
          .ids, at: path, "an id outside of the vocabulary", expected: "below \(vocabulary)",
          found: "\(id)")
      }
      return id
    }
  }

  // MARK: Rows

  func next(_ most: Int) throws -> LogitBlock {
    let all = try pending ?? readFrame()
    let (rows, rest) = all.split(at: most)
    pending = rest
    return rows
  }

  private func readFrame() throws -> LogitBlock {
    let count = min(
      SavedLogits.rowsPerFrame(vocabularySize), windows.targetCount - rowsRead)
    precondition(count > 0)
    let (content, next) = try Self.frame(
      file, at: position, size: count * SavedLogits.rowBytes(vocabularySize))
    rowsRead += count
    guard rowsRead < windows.targetCount || next == file.size else {
      throw Failure.savedLogits(
        .frames, at: path, "something lies behind the last frame", expected: "\(next) bytes",
        found: "\(file.size)")
    }
    position = next
    return try rows(content, count)
  }

  private func rows(_ content: [UInt8], _ count: Int) throws -> LogitBlock {
    var values = [Float](repeating: 0, count: count * vocabularySize)
    let low = count * 8
    let high = low + values.count
    for row in 0..<count {
      let scale = RowScale(
        top: content.rawSpan.float32(at: row), step: content.rawSpan.float32(at: count + row))
      guard scale.top.isFinite, scale.step.isFinite, scale.step >= 0 else {
        throw Failure.savedLogits(
          .row, at: path, "a row without a scale", found: "\(scale.top), \(scale.step)")
      }
      for index in row * vocabularySize..<(row + 1) * vocabularySize {
        values[index] = scale.value(
          UInt16(content[low + index]) | UInt16(content[high + index]) << 8)
      }
    }
    return LogitBlock(values, vocabularySize: vocabularySize)
  }

  /// Whether it is of the same text in the same windows. Throws `usage` where it is not (SL-7).
  func check(ids: [UInt32], windows: TextWindows, vocabulary: Int) throws {
    func differs(_ what: String, _ expected: Int, _ found: Int) -> Failure {
      .savedLogits(
        .sameText, .usage, at: path, "the saved logits are of other \(what)",
        expected: "\(expected)", found: "\(found)")
    }
    guard vocabulary == vocabularySize else {
      throw differs("vocabularies", vocabulary, vocabularySize)
    }
    guard windows.context == self.windows.context, windows.stride == self.windows.stride else {
      throw differs("windows", windows.context, self.windows.context)
    }
    guard windows.count == self.windows.count else {
      throw differs("numbers of windows", windows.count, self.windows.count)
    }
    let end = windows[windows.count - 1].upperBound
    guard self.ids.count >= end, ids[..<end] == self.ids[..<end] else {
      throw differs("tokens", end, self.ids.count)
    }
  }
}
