import Kernels
import TensorCore

/// The search for a site's scales: each candidate rounds the scaled weights and compares the parent's output.
struct ScaleSearch {
  let awq: AWQ
  let site: FoldSite
  /// Those of the sites before.
  var folds: [Fold] = []
  let threads: Int
  let level: Processor.Level

  private struct Best {
    let index: Int
    let loss: Double
    let scales: [Float]
  }

  func run(_ block: some Block) throws -> SiteResult {
    let nothing = SiteResult(site: site, losses: [], best: nil, plainLoss: 0, fold: nil)
    let weights = try site.linears.map { ($0, try block.weight($0)) }
    guard site.linears.contains(where: { awq.grid(of: $0) != nil }),
      let columns = weights.first?.1.columns,
      let inputs = try ChannelMeans(block, reader, columns: columns)
    else { return nothing }
    let range = awq.rules == .best ? try range(weights.map(\.1), block) : nil
    let shares = WeightShares(weights.map(\.1), group: awq.grid.group(columns))
    let scales = candidates.map { $0.scales(inputs.means, shares.means) }
    let masters = masters(weights, scales.first ?? [])
    let loss = ParentLoss(block: block, site: site, threads: threads)
    // The first is rounding without scales.
    let found = try loss.values(1 + scales.count) { index in
      guard index > 0 else { return rounded(weights, scales: nil) }
      guard range?.holds(scales[index - 1]) ?? true else { return nil }
      return rounded(index == 1 ? weights : masters, scales: scales[index - 1])
    }
    guard let found else { return nothing }
    let losses = Array(found.dropFirst())
    return try result(losses, best(losses, scales), found[0])
  }

  /// What is rounded from the second candidate on.
  private func masters(_ weights: [(String, Matrix)], _ first: [Float]) -> [(String, Matrix)] {
    guard awq.measuresScaledWeights else { return weights }
    return weights.map { ($0.0, $0.1.columns(times: first)) }
  }

  private func best(_ losses: [Double], _ scales: [[Float]]) -> Best? {
    var best: Best?
    for (index, loss) in losses.enumerated() where loss.isFinite && loss < best?.loss ?? .infinity {
      best = Best(index: index, loss: loss, scales: scales[index])
    }
    return best
  }

  private func result(
    _ losses: [Double], _ best: Best?, _ plainLoss: Double
  ) throws -> SiteResult {
    if awq.rules == .autoawq, best == nil {
      throw Failure(
        .cannotRepresent, at: site.parent, "no scales give finite outputs",
        found: "\(losses.count) candidates")
    }
    let isBetter = awq.rules == .autoawq || best.map { $0.loss < plainLoss } ?? false
    let kept = isBetter ? best : nil
    return SiteResult(
      site: site, losses: losses, best: kept?.index, plainLoss: plainLoss,
      fold: kept.map { Fold(site: site, factors: $0.scales) })
  }

  /// The layer whose inputs are looked at: one that stays dense sees all tokens, an expert only its own.
  private var reader: String { site.linears.first(where: awq.dense.contains) ?? site.linears[0] }

  private func range(_ weights: [Matrix], _ block: some Block) throws -> ScaleRange {
    guard case .linear(let source, let rows) = site.source else {
      return ScaleRange(weights, source: nil, rows: 0..<0)
    }
    return ScaleRange(
      weights, source: folds.weight(source, from: try block.weight(source)), rows: rows)
  }

  /// Q(W·s)/s of each weight that is rounded.
  private func rounded(
    _ weights: [(String, Matrix)], scales: [Float]?
  ) -> [String: Matrix] {
    var result: [String: Matrix] = [:]
    for (name, weight) in weights {
      result[name] = awq.grid(of: name)?.rounded(
        weight, scales: scales, threads: threads, on: level)
    }
    return result
  }

  private var candidates: [Candidate] {
    let ratios =
      awq.fixedRatio.map { [$0] } ?? (0..<awq.points).map { Float($0) / Float(awq.points) }
    let kinds = awq.rules == .best && awq.isDuo ? [true, false] : [awq.isDuo]
    return kinds.flatMap { isDuo in ratios.map { Candidate(ratio: $0, isDuo: isDuo) } }
  }
}

/// One way to scale channels: mean|x|^ratio, with duo scaling over the weights' share^(1 − ratio).
private struct Candidate {
  let ratio: Float
  let isDuo: Bool

  /// Scales whose largest and smallest multiply to 1; 1 where one is not finite.
  func scales(_ inputs: [Float], _ shares: [Float]) -> [Float] {
    let raw = zip(inputs, shares).map { input, share -> Float in
      let scale = Float(power(Double(input), Double(ratio)))
      let value = isDuo ? scale / (Float(power(Double(share), Double(1 - ratio))) + 1e-4) : scale
      return max(value, 1e-4)
    }
    let middle = ((raw.max() ?? 1) * (raw.min() ?? 1)).squareRoot()
    return raw.map { scale in
      let scale = scale / middle
      return scale.isFinite && scale > 0 ? scale : 1
    }
  }
}

/// Mean |x| of each input channel over all tokens, sums in f64.
struct ChannelMeans {
  let means: [Float]

  /// nil where no token reaches the layer.
  init?(_ block: some Block, _ linear: String, columns: Int) throws {
    var sums = [Double](repeating: 0, count: columns)
    var tokens = 0
    try block.forEachInput(of: linear) { count, values in
      values.withValues { values in
        for token in 0..<count {
          for column in 0..<columns {
            sums[column] += Double(values[token * columns + column].magnitude)
          }
        }
      }
      tokens += count
    }
    guard tokens > 0 else { return nil }
    if let channel = sums.firstIndex(where: { !$0.isFinite }) {
      throw Failure(
        .cannotRepresent, at: linear, "an input is not finite", found: "input channel \(channel)")
    }
    means = sums.map { Float($0 / Double(tokens)) }
  }
}

/// The mean over all rows of |w| / (the largest of its group + 1e-6), for each input channel.
struct WeightShares {
  let means: [Float]

  init(_ weights: [Matrix], group: Int) {
    let columns = weights[0].columns
    var sums = [Double](repeating: 0, count: columns)
    for weight in weights {
      for row in 0..<weight.rows {
        for start in stride(from: 0, to: columns, by: group) {
          let part = row * columns + start..<row * columns + min(start + group, columns)
          let most = weight.values[part].reduce(0) { max($0, $1.magnitude) } + 1e-6
          for index in part {
            sums[index - row * columns] += Double(weight.values[index].magnitude / most)
          }
        }
      }
    }
    let rows = weights.reduce(0) { $0 + $1.rows }
    means = sums.map { Float($0 / Double(rows)) }
  }
}
