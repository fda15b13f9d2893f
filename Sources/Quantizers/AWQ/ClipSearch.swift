import Kernels
import TensorCore

/// The search for how far the weights of each group may reach: |w| is held below max|w|·(1 − i/points) where
/// that lowers the error of the outputs.
///
/// The mean over tokens of (Δw·x)² is Δw·(XᵀX/n)·Δwᵀ, so all tokens count at no cost.
public struct ClipSearch: Sendable, Equatable {
  public var points = 20
  /// Steps go as far as this share.
  public var shrink = 0.5
  /// Tokens that count, every n-th of all; nil: all of them. The peers take 512.
  public var tokens: Int?

  public init(tokens: Int? = nil) { self.tokens = tokens }

  /// Queries and keys are left out: their products decide what attention attends to.
  public static func isClipped(_ linear: String) -> Bool {
    let parts = linear.split(separator: ".").suffix(2).joined(separator: ".")
    return !["q_", "k_", "query", "key", "Wqkv", "qkv", "c_attn"].contains { parts.contains($0) }
  }

  /// What of the largest |w| each step leaves; the first one all. The best rules halve the steps.
  func shares(_ rules: AWQ.Rules) -> [Float] {
    let points = rules == .best ? 2 * points : points
    return (0..<Int(shrink * Double(points))).map { 1 - Float(Double($0) / Double(points)) }
  }

  /// Bounds for the folded weights of linear layers that share an input; none where no token reaches them.
  func run(
    _ awq: AWQ, _ folds: [Fold], _ linears: [String], _ block: some Block, threads: Int,
    on level: Processor.Level
  ) throws -> [String: ClipBounds] {
    var bounds: [String: ClipBounds] = [:]
    var gram: SquareMatrix?
    for linear in linears {
      guard let grid = awq.grid(of: linear) else { continue }
      let weight = folds.weight(linear, from: try block.weight(linear))
      switch awq.rules {
      case .best:
        gram = try gram ?? inputs(of: linear, folds, block, weight.columns, threads)
        guard let gram else { return [:] }
        let descent = ClipDescent(grid: grid, shares: shares(.best), gram: gram, level: level)
        bounds[linear] = descent.bounds(of: weight, threads: threads)
      case .autoawq:
        let grams = GroupGrams(columns: weight.columns, size: grid.group(weight.columns))
        let tokens = try feed(linear, block, columns: weight.columns) { inputs, _ in
          grams.add(inputs, threads: threads)
        }
        guard tokens > 0 else { return [:] }
        grams.finish(dividedBy: folds.inputFactors(of: linear))
        bounds[linear] = groupByGroup(grid, weight, grams, threads: threads, on: level)
      }
    }
    return bounds
  }

  /// XᵀX of a layer's folded inputs; nil where there are none.
  private func inputs(
    of linear: String, _ folds: [Fold], _ block: some Block, _ columns: Int, _ threads: Int
  ) throws -> SquareMatrix? {
    let gram = SquareMatrix(count: columns)
    let tokens = try feed(linear, block, columns: columns) {
      gram.addGram($0, tokens: $1, threads: threads)
    }
    guard tokens > 0 else { return nil }
    gram.completeTriangle(times: 1, threads: threads)
    if let factors = folds.inputFactors(of: linear) {
      gram.divideRowsAndColumns(by: factors, threads: threads)
    }
    return gram
  }

  /// Hands on the inputs that count. Returns how many tokens there are in all.
  private func feed(
    _ linear: String, _ block: some Block, columns: Int, _ add: (RawSpan, Int) -> Void
  ) throws -> Int {
    var step = 1
    if let tokens {
      var all = 0
      try block.forEachInput(of: linear) { count, _ in all += count }
      step = max(1, all / max(tokens, 1))
    }
    var position = 0
    try block.forEachInput(of: linear) { count, values in
      defer { position += count }
      if step == 1 { return add(values.rawSpan, count) }
      let taken = (0..<count).filter { (position + $0) % step == 0 }
      let some = taken.flatMap { values[$0 * columns..<($0 + 1) * columns] }
      if !taken.isEmpty { add(some.rawSpan, taken.count) }
    }
    return position
  }

  /// The best bound of each group by itself, for the outputs of that group alone: the peers' search.
  func groupByGroup(
    _ grid: AWQGrid, _ weight: Matrix, _ grams: GroupGrams, threads: Int,
    on level: Processor.Level
  ) -> ClipBounds {
    let found = ParallelResults<[Float]>(count: grams.groups)
    parallelFor(grams.groups, threads: threads) { index in
      let group = ClippedGroup(
        weight, rows: 0..<weight.rows, columns: grams.range(index), grid, on: level)
      var best = group.most
      var least = [Double](repeating: .infinity, count: weight.rows)
      for share in shares(.autoawq) {
        for (row, loss) in grams.losses(index, group.errors(within: share)).enumerated()
        where loss < least[row] {
          least[row] = loss
          best[row] = group.most[row] * share
        }
      }
      found[index] = best
    }
    var bounds = ClipBounds(rows: weight.rows, groups: grams.groups, size: grams.size)
    for group in 0..<grams.groups {
      for (row, bound) in (found[group] ?? []).enumerated() {
        bounds.values[row * grams.groups + group] = bound
      }
    }
    return bounds
  }
}
