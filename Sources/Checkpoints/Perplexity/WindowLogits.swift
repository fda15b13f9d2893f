/// The logits of a model for the targets of windows: one batch of windows at a time, or parts of one
/// window where its logits would take too much memory.
final class WindowLogits: LogitStream {
  let vocabularySize: Int
  private let model: any TokenModel
  private let ids: [UInt32]
  private let windows: TextWindows
  /// Rows that are made at once.
  private let mostRows: Int
  private var window = 0
  /// A window that is under way: its context, and the tokens of the text it has read.
  private var open: (context: any TokenContext, done: Int)?
  private var pending: LogitBlock?

  static let mostBytes = 1 << 27

  /// Throws `usage` where ids or windows are not the model's.
  init(
    _ model: any TokenModel, ids: [UInt32], windows: TextWindows,
    mostBytes: Int = WindowLogits.mostBytes
  ) throws {
    self.model = model
    self.ids = ids
    self.windows = windows
    vocabularySize = model.vocabularySize
    mostRows = max(1, mostBytes / 4 / max(vocabularySize, 1))
    try model.check(ids, capacity: min(windows.context, ids.count))
  }

  func next(_ most: Int) throws -> LogitBlock {
    let all = try pending ?? readMore()
    let (rows, rest) = all.split(at: most)
    pending = rest
    return rows
  }

  private func readMore() throws -> LogitBlock {
    precondition(window < windows.count)
    let batch = open == nil ? batchSize() : 1
    let values = batch > 1 ? try readBatch(batch) : try readPart()
    return LogitBlock(values, vocabularySize: vocabularySize)
  }

  /// How many of the next windows, all alike, are read at once.
  private func batchSize() -> Int {
    let shape = Self.shape(windows, window)
    var count = 1
    while window + count < windows.count, (count + 1) * shape.tokens <= mostRows,
      Self.shape(windows, window + count) == shape
    { count += 1 }
    return count
  }

  private struct Shape: Equatable {
    /// Tokens that are read: the last one has nothing to predict.
    let tokens: Int
    let targets: Int
  }

  private static func shape(_ windows: TextWindows, _ window: Int) -> Shape {
    Shape(tokens: windows[window].count - 1, targets: windows.targets(window).count)
  }

  /// Whole windows side by side.
  private func readBatch(_ count: Int) throws -> [Float] {
    let shape = Self.shape(windows, window)
    let context = try model.makeContext(sequences: count, capacity: shape.tokens)
    let tokens = (window..<window + count).flatMap { ids[windows[$0].dropLast()].map(Int32.init) }
    let all = try context.read(tokens, .all)
    window += count
    let unused = (shape.tokens - shape.targets) * vocabularySize
    guard unused > 0 else { return all }
    let size = shape.tokens * vocabularySize
    return (0..<count).flatMap { all[$0 * size + unused..<($0 + 1) * size] }
  }

  /// The next part of one window.
  private func readPart() throws -> [Float] {
    let range = windows[window]
    let targets = windows.targets(window)
    var (context, done) =
      try open ?? (model.makeContext(sequences: 1, capacity: range.count - 1), range.lowerBound)
    while done < targets.lowerBound - 1 {
      let end = min(done + WindowLogits.partTokens, targets.lowerBound - 1)
      _ = try context.read(ids[done..<end].map(Int32.init), .none)
      done = end
    }
    let end = min(done + mostRows, range.upperBound - 1)
    let values = try context.read(ids[done..<end].map(Int32.init), .all)
    if end == range.upperBound - 1 {
      open = nil
      window += 1
    } else {
      open = (context, end)
    }
    return values
  }

  private static let partTokens = 512
}
