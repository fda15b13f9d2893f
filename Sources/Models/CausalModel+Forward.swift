public import Kernels
internal import TensorCore

extension CausalModel {
  /// Tokens of all sequences that go through the blocks at once, so that memory does not grow with the
  /// text.
  private static let chunk = 2048

  /// Takes new tokens `[sequences][tokens]` in at the state's position and moves it on. The logits are
  /// f32 `[sequences][1 or tokens][vocabulary]`, after a soft cap where there is one; an empty buffer for `.none`.
  ///
  /// Throws `usage` for ids that are no tokens and texts longer than the state has room for, `malformed` where
  /// a logit is not a number, naming the block that made the first.
  public func forward(_ ids: [Int32], _ state: ModelState, logits rows: LogitRows) throws -> Buffer
  {
    let tokens = try check(ids, state)
    let length = state.position + tokens
    let step = max(Self.chunk / state.sequences, 1)
    let result = try compute.makeBuffer(
      rows == .all && tokens > step ? ids.count * vocabularySize : 0)
    var last = result
    for start in stride(from: 0, to: tokens, by: step) {
      let range = start..<min(start + step, tokens)
      let part = range.count == tokens ? ids : Self.part(range, of: ids, state.sequences)
      let isLast = range.upperBound == tokens
      let wanted: LogitRows = rows == .last && !isLast ? .none : rows
      last = try pass(part, state, wanted, length: length)
      if result.count > 0 {
        try compute.store(
          last, sequences: state.sequences, tokens: range.count, width: vocabularySize,
          into: result, capacity: tokens, at: start)
      }
    }
    return result.count > 0 ? result : last
  }

  /// Logits of `forward` on the host.
  public func logits(_ ids: [Int32], _ state: ModelState, rows: LogitRows = .all) throws -> [Float]
  {
    let buffer = try forward(ids, state, logits: rows)
    return try compute.floats(buffer, buffer.count)
  }

  private static func part(_ range: Range<Int>, of ids: [Int32], _ sequences: Int) -> [Int32] {
    let tokens = ids.count / sequences
    return (0..<sequences).flatMap {
      ids[$0 * tokens..<($0 + 1) * tokens].dropFirst(range.lowerBound).prefix(range.count)
    }
  }

  private func pass(_ ids: [Int32], _ state: ModelState, _ rows: LogitRows, length: Int) throws
    -> Buffer
  {
    let passage = try Passage(
      sequences: state.sequences, tokens: ids.count / state.sequences, start: state.position,
      capacity: state.capacity, length: length, ropes: blueprint.ropes, loader)
    let hidden = try ends.embed(ids, at: state.position, state.sequences, state.pool)
    defer { state.pool.give(hidden) }
    for (index, cache) in state.caches.enumerated() {
      try block(index).pass(passage, state.pool).forward(hidden, cache)
    }
    let logits = try head(hidden, passage, rows, state.pool)
    if try logits.count > 0 && holdsNaN(logits, logits.count) {
      throw try notNumbers(ids, passage, state)
    }
    state.advance(by: passage.tokens)
    return logits
  }

  private func head(_ hidden: Buffer, _ passage: Passage, _ rows: LogitRows, _ pool: BufferPool)
    throws -> Buffer
  {
    switch rows {
    case .none: return try compute.makeBuffer(0)
    case .all: return try ends.logits(hidden, rows: passage.rows, pool)
    case .last:
      let last = (1...passage.sequences).map { Int32($0 * passage.tokens - 1) }
      let chosen = try pool.take(last.count * hiddenSize)
      defer { pool.give(chosen) }
      try compute.gather(hidden, rows: last, width: hiddenSize, into: chosen)
      return try ends.logits(chosen, rows: last.count, pool)
    }
  }

  /// Tokens of each sequence.
  private func check(_ ids: [Int32], _ state: ModelState) throws -> Int {
    try checkIds(ids)
    let tokens = ids.count / state.sequences
    guard tokens > 0, tokens * state.sequences == ids.count else {
      throw Failure(
        .usage, at: loader.provider.path, "the count of token ids",
        expected: "a multiple of \(state.sequences) sequences, above 0", found: "\(ids.count)")
    }
    guard tokens <= state.capacity - state.position else {
      throw Failure(
        .usage, at: loader.provider.path, "the context is longer than the state has room for",
        expected: "at most \(state.capacity) tokens", found: "\(state.position + tokens)")
    }
    return tokens
  }

  func checkIds(_ ids: [Int32]) throws {
    if let index = ids.firstIndex(where: { $0 < 0 || Int($0) >= vocabularySize }) {
      throw Failure(
        .usage, at: "\(loader.provider.path): token \(index)", "the id is out of range",
        expected: "0 to \(vocabularySize - 1)", found: "\(ids[index])")
    }
  }

  /// Goes through the blocks once more to find where the first number was lost.
  private func notNumbers(_ ids: [Int32], _ passage: Passage, _ state: ModelState) throws
    -> Failure
  {
    let hidden = try ends.embed(ids, at: state.position, state.sequences, state.pool)
    defer { state.pool.give(hidden) }
    let count = passage.rows * hiddenSize
    var place = "the embedding"
    for (index, cache) in state.caches.enumerated() where try !holdsNaN(hidden, count) {
      place = blueprint.blocks[index].name
      try block(index).pass(passage, state.pool).forward(hidden, cache)
    }
    if try !holdsNaN(hidden, count) { place = "the final norm or the head" }
    return Failure(
      .malformed, at: "\(loader.provider.path): \(place)", "a logit is not a number",
      expected: "finite numbers",
      found: "NaN, first in the output of \(place), at positions from \(state.position) on")
  }

  private func holdsNaN(_ buffer: Buffer, _ count: Int) throws -> Bool {
    let workspace = Workspace()
    let step = 1 << 18
    return try workspace.lend(min(step, count) * 4) { block in
      for start in stride(from: 0, to: count, by: step) {
        var part = block.part(0..<min(step, count - start) * 4)
        try compute.read(buffer, at: start, into: &part)
        if FloatStatistics(part.bytes).nanCount > 0 { return true }
      }
      return false
    }
  }
}
