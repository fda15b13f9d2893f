public import Kernels
import TensorCore

/// The search for how far the weights of each group may reach: |w| is held below max|w|·(1 − i/points) where
/// that lowers the error of the group's share of the outputs.
///
/// The mean over tokens of (Δw·x)² is Δw·(XᵀX/n)·Δwᵀ for the group's own Gram matrix, so all tokens count at no cost.
public struct ClipSearch: Sendable, Equatable {
  public var points = 20
  /// Steps go as far as this share.
  public var shrink = 0.5
  /// Tokens that count, every n-th of all; nil: all of them. The peers take 512.
  public var tokens: Int?

  public init(tokens: Int? = nil) { self.tokens = tokens }

  /// Queries and keys are left out: their products decide what attention attends to.
  static func isClipped(_ linear: String) -> Bool {
    let parts = linear.split(separator: ".").suffix(2).joined(separator: ".")
    return !["q_", "k_", "query", "key", "Wqkv", "qkv", "c_attn"].contains { parts.contains($0) }
  }

  func run(
    _ awq: AWQ, _ folds: [Fold], _ linear: String, _ block: some Block, threads: Int,
    on level: Processor.Level
  ) throws -> ClipBounds {
    let weight = folds.weight(linear, from: try block.weight(linear))
    let factors = folds.inputFactors(of: linear)
    let size = awq.grid.group(weight.columns)
    let grams = GroupGrams(columns: weight.columns, size: size)
    try feed(grams, block, linear, columns: weight.columns, threads: threads)
    grams.finish(dividedBy: factors)
    var bounds = search(awq, weight, grams, threads: threads, on: level)
    if awq.rules == .best {
      try keepWhereRowsAgree(&bounds, awq, weight, factors, linear, block, threads, level)
    }
    return bounds
  }

  private func feed(
    _ grams: GroupGrams, _ block: some Block, _ linear: String, columns: Int, threads: Int
  ) throws {
    var step = 1
    if let tokens {
      var all = 0
      try block.forEachInput(of: linear) { count, _ in all += count }
      step = max(1, all / max(tokens, 1))
    }
    var position = 0
    try block.forEachInput(of: linear) { count, values in
      if step == 1 { return grams.add(values.rawSpan, threads: threads) }
      let taken = (0..<count).filter { (position + $0) % step == 0 }
      position += count
      let some = taken.flatMap { values[$0 * columns..<($0 + 1) * columns] }
      grams.add(some.rawSpan, threads: threads)
    }
  }

  /// The best bound of each group by itself.
  func search(
    _ awq: AWQ, _ weight: Matrix, _ grams: GroupGrams, threads: Int, on level: Processor.Level
  ) -> ClipBounds {
    let found = ParallelResults<[Float]>(count: grams.groups)
    parallelFor(grams.groups, threads: threads) { group in
      found[group] = groupBounds(awq, weight, grams, group, on: level)
    }
    var bounds = ClipBounds(rows: weight.rows, groups: grams.groups, size: grams.size)
    for group in 0..<grams.groups {
      for (row, bound) in (found[group] ?? []).enumerated() {
        bounds.values[row * grams.groups + group] = bound
      }
    }
    return bounds
  }

  private func groupBounds(
    _ awq: AWQ, _ weight: Matrix, _ grams: GroupGrams, _ group: Int, on level: Processor.Level
  ) -> [Float] {
    let range = grams.range(group)
    let values = (0..<weight.rows).flatMap { row in
      weight.values[
        row * weight.columns + range.lowerBound..<row * weight.columns + range.upperBound]
    }
    let most = (0..<weight.rows).map { row in
      values[row * range.count..<(row + 1) * range.count].reduce(0) { max($0, $1.magnitude) }
    }
    let ranges = AWQRanges(bits: awq.grid.bits, isSymmetric: awq.grid.isSymmetric)
    var best = most
    var least = [Float](repeating: .infinity, count: weight.rows)
    for step in 0..<Int(shrink * Double(points)) {
      let share = 1 - Float(Double(step) / Double(points))
      let losses = losses(values, most.map { $0 * share }, range.count, ranges, level) {
        grams.losses(group, $0)
      }
      for (row, loss) in losses.enumerated() where loss < least[row] {
        least[row] = loss
        best[row] = most[row] * share
      }
    }
    return best
  }

  /// Losses of rows held below bounds and rounded.
  private func losses(
    _ values: [Float], _ bounds: [Float], _ width: Int, _ ranges: AWQRanges,
    _ level: Processor.Level, _ measure: ([Float]) -> [Float]
  ) -> [Float] {
    var held = values
    for (row, bound) in bounds.enumerated() {
      for index in row * width..<(row + 1) * width {
        held[index] = min(max(values[index], -bound), bound)
      }
    }
    var rounded = [Float](repeating: 0, count: values.count)
    rounded.withMutableBytes { ranges.round(held.rawSpan, group: width, into: &$0, on: level) }
    for index in rounded.indices { rounded[index] -= values[index] }
    return measure(rounded)
  }

  /// Rows whose clipped groups are no better than unclipped ones over all inputs at once keep their range.
  private func keepWhereRowsAgree(
    _ bounds: inout ClipBounds, _ awq: AWQ, _ weight: Matrix, _ factors: [Float]?,
    _ linear: String, _ block: some Block, _ threads: Int, _ level: Processor.Level
  ) throws {
    let gram = try block.gram(of: linear, columns: weight.columns, threads: threads).matrix
    // Inputs are those of the unfolded weights, so differences are brought back to them.
    let error = { (candidate: Matrix) -> [Double] in
      let difference = awq.grid.rounded(candidate, threads: threads, on: level) - weight
      let unfolded = factors.map { difference.columns(times: $0, dividing: true) } ?? difference
      return gram.quadraticForms(of: unfolded, threads: threads)
    }
    let (clipped, plain) = (error(bounds.applied(to: weight)), error(weight))
    for row in 0..<weight.rows where !(clipped[row] < plain[row]) {
      for group in 0..<bounds.groups { bounds.values[row * bounds.groups + group] = .infinity }
    }
  }
}

/// How far the weights of each group of a linear layer may reach.
public struct ClipBounds: Sendable, Equatable {
  public let rows: Int
  public let groups: Int
  /// Columns of a group.
  public let size: Int
  /// `[rows][groups]`, at least 0; infinity: as far as they do.
  public var values: [Float]

  public init(rows: Int, groups: Int, size: Int) {
    (self.rows, self.groups, self.size) = (rows, groups, size)
    values = [Float](repeating: .infinity, count: rows * groups)
  }

  /// The weights held within the bounds.
  public func applied(to weight: Matrix) -> Matrix {
    var result = weight
    for row in 0..<rows {
      for column in 0..<weight.columns {
        let bound = values[row * groups + column / size]
        let index = row * weight.columns + column
        result.values[index] = min(max(weight.values[index], -bound), bound)
      }
    }
    return result
  }
}
