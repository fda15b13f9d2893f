internal import CKernels
internal import TensorCore

/// Attention in blocks of positions with a running softmax (Dao et al., 2022): a task holds scores of one block
/// alone.
extension CPUCompute {
  /// Positions of a block.
  private static let positionBlock = 256
  /// Rows of queries (tokens times the heads that share keys) of a task, where tokens allow it.
  private static let queryRows = 128
  /// The fewest rows of queries that OpenBLAS is asked for.
  private static let manyRows = 12

  public func attend(
    _ queries: Buffer, keys: Buffer, values: Buffer, _ shape: AttentionShape, into output: Buffer
  ) {
    precondition(shape.heads % shape.kvHeads == 0 && shape.start + shape.tokens <= shape.capacity)
    guard shape.tokens > 0, shape.sequences > 0, shape.headSize > 0 else { return }
    let place = Place(
      queries: Self.numbers(queries), keys: Self.numbers(keys), values: Self.numbers(values),
      output: Self.numbers(output), shape: shape)
    let tokenBlock = max(1, Self.queryRows / place.share)
    let blocks = shape.tokens.dividedRoundingUp(by: tokenBlock)
    try? parallelBands(shape.sequences * shape.kvHeads * blocks, threads: threads) {
      task, workspace in
      let first = task % blocks * tokenBlock
      let head = task / blocks
      attend(
        place, sequence: head / shape.kvHeads, kvHead: head % shape.kvHeads,
        tokens: first..<min(first + tokenBlock, shape.tokens), workspace)
    }
  }

  /// Where a call's numbers are.
  private struct Place: Sendable {
    let queries: Numbers
    let keys: Numbers
    let values: Numbers
    let output: Numbers
    let shape: AttentionShape

    /// Heads that share keys and values.
    var share: Int { shape.heads / shape.kvHeads }
    /// Numbers from one position to the next in the caches.
    var stride: Int { shape.kvHeads * shape.headSize }

    /// The heads that share `kvHead` of a token, [share][headSize].
    func heads(_ numbers: Numbers, _ sequence: Int, _ token: Int, _ kvHead: Int) -> Numbers {
      let start = (sequence * shape.tokens + token) * shape.heads + kvHead * share
      return numbers.slice(start * shape.headSize, share * shape.headSize)
    }

    /// Positions of one head in a cache: rows of `headSize` numbers, `stride` apart.
    func rows(_ cache: Numbers, _ sequence: Int, _ kvHead: Int, _ positions: Range<Int>) -> Numbers
    {
      let start = (sequence * shape.capacity + positions.lowerBound) * stride
      return cache.slice(
        start + kvHead * shape.headSize, (positions.count - 1) * stride + shape.headSize)
    }
  }

  private func attend(
    _ place: Place, sequence: Int, kvHead: Int, tokens: Range<Int>, _ workspace: Workspace
  ) {
    let shape = place.shape
    let size = shape.headSize
    let rows = tokens.count * place.share
    let counts = [rows * size, rows * size, rows * Self.positionBlock, rows, rows]
    workspace.lend(counts.reduce(0, +) * 4) { scratch in
      // SAFETY: the scratch is lent for as long as it is used.
      let all = unsafe scratch.withUnsafeMutableBytes { unsafe Numbers($0) }
      var parts: [Numbers] = []
      for count in counts {
        parts.append(all.slice(parts.reduce(0) { $0 + $1.count }, count))
      }
      let block = QueryBlock(
        queries: parts[0], sums: parts[1], scores: parts[2], largest: parts[3], totals: parts[4],
        rows: rows)
      for (index, token) in tokens.enumerated() {
        let width = place.share * size
        block.queries.slice(index * width, width)
          .copy(from: place.heads(place.queries, sequence, token, kvHead))
      }
      start(block, shape)
      let begin = shape.positions(seenBy: tokens.lowerBound).lowerBound
      let end = shape.positions(seenBy: tokens.upperBound - 1).upperBound
      for first in Swift.stride(from: begin, to: end, by: Self.positionBlock) {
        let positions = first..<min(first + Self.positionBlock, end)
        score(block, place.rows(place.keys, sequence, kvHead, positions), place, positions)
        weigh(
          block, place.rows(place.values, sequence, kvHead, positions), place, tokens, positions)
      }
      finish(block, size)
      for (index, token) in tokens.enumerated() {
        let width = place.share * size
        place.heads(place.output, sequence, token, kvHead)
          .copy(from: block.sums.slice(index * width, width))
      }
    }
  }

  /// What a task works on: rows are tokens times the heads that share keys.
  private struct QueryBlock {
    /// [rows][headSize], scaled.
    let queries: Numbers
    /// [rows][headSize]: values times powers, so far.
    let sums: Numbers
    /// [rows][positions of a block].
    let scores: Numbers
    /// The largest score of each row, so far.
    let largest: Numbers
    /// The sum of each row's powers, so far.
    let totals: Numbers
    let rows: Int
  }

  private func start(_ block: QueryBlock, _ shape: AttentionShape) {
    // SAFETY: the counts are those of the runs.
    unsafe level.kernels.pointee.multiply(block.queries.address, block.queries.count, shape.scale)
    unsafe block.sums.values.update(repeating: 0)
    unsafe block.totals.values.update(repeating: 0)
    unsafe block.largest.values.update(repeating: -.infinity)
  }

  /// Scores of the rows at some positions.
  private func score(
    _ block: QueryBlock, _ keys: Numbers, _ place: Place, _ positions: Range<Int>
  ) {
    let size = place.shape.headSize
    let count = positions.count
    // SAFETY: keys holds `count` rows of `size` numbers, `stride` apart; scores has rows × count.
    if block.rows < Self.manyRows {
      unsafe level.kernels.pointee.dot_rows(
        ck_f32, keys.address, count, place.stride, size, block.queries.address, size, block.rows,
        block.scores.address, count)
    } else {
      unsafe BLAS.multiply(
        BLAS.Tile(block.queries.address, stride: size),
        BLAS.Tile(keys.address, stride: place.stride), rows: block.rows, columns: count,
        depth: size, keeping: 0, into: block.scores.address, stride: count)
    }
    if let cap = place.shape.softcap {
      unsafe level.kernels.pointee.softcap(block.scores.address, block.rows * count, cap)
    }
  }

  /// Powers of the scores, and values times them. Positions that a token doesn't see have the power 0.
  private func weigh(
    _ block: QueryBlock, _ values: Numbers, _ place: Place, _ tokens: Range<Int>,
    _ positions: Range<Int>
  ) {
    let size = place.shape.headSize
    let count = positions.count
    for row in 0..<block.rows {
      let seen = place.shape.positions(seenBy: tokens.lowerBound + row / place.share)
        .clamped(to: positions)
      let scores = block.scores.slice(row * count, count)
      let (low, high) = (
        seen.lowerBound - positions.lowerBound, seen.upperBound - positions.lowerBound
      )
      // SAFETY: all ranges are within the row's scores and sums.
      unsafe scores.values[..<low].update(repeating: 0)
      unsafe scores.values[high...].update(repeating: 0)
      guard !seen.isEmpty else { continue }
      let kept = unsafe level.kernels.pointee.softmax_step(
        scores.slice(low, seen.count).address, seen.count, block.largest.address + row,
        block.totals.address + row)
      let sums = block.sums.slice(row * size, size)
      if block.rows < Self.manyRows {
        unsafe level.kernels.pointee.weigh_rows(
          scores.address + low, values.address + low * place.stride, seen.count, place.stride, size,
          kept, sums.address)
      } else {
        unsafe level.kernels.pointee.multiply(sums.address, size, kept)
      }
    }
    guard block.rows >= Self.manyRows else { return }
    unsafe BLAS.multiply(
      BLAS.Tile(block.scores.address, stride: count),
      BLAS.Tile(values.address, stride: place.stride), isTransposed: false, rows: block.rows,
      columns: size, depth: count, keeping: 1, into: block.sums.address, stride: size)
  }

  private func finish(_ block: QueryBlock, _ size: Int) {
    for row in 0..<block.rows {
      // SAFETY: each row has `size` sums and one total.
      unsafe level.kernels.pointee.multiply(
        block.sums.slice(row * size, size).address, size, 1 / block.totals.values[row])
    }
  }
}
