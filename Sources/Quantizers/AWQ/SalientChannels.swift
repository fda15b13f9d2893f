public import Kernels
import TensorCore

/// A study of AWQ's first observation: how much of the rounding error goes where a few input channels keep their
/// weights as they are, chosen by how large their inputs are, by how large their weights are, or by chance (Lin et
/// al., 2024, table 1). Such mixed rows fit no layout; the study says what scaling has to stand up to.
public struct SalientChannels: Sendable {
  public var grid: AWQGrid
  /// The part of a site's input channels that is kept, at least one.
  public var share: Double
  /// Draws the channels that are kept by chance.
  public var seed: UInt64 = 0

  public init(_ grid: AWQGrid = AWQGrid(), share: Double = 0.01) {
    (self.grid, self.share) = (grid, share)
  }

  /// Mean squared errors of a site's parent.
  public struct Losses: Sendable, Equatable {
    public let site: FoldSite
    /// Input channels kept.
    public let kept: Int
    /// All channels rounded.
    public let plain: Double
    public let byInputs: Double
    public let byWeights: Double
    public let byChance: Double
  }

  /// The losses of each site that a token reaches. Throws `usage` for shares outside of 0…1, and what the block
  /// throws.
  public func losses(
    _ block: some Block, threads: Int = Processor.cores, on level: Processor.Level = .best
  ) throws -> [Losses] {
    try grid.check()
    guard (0...1).contains(share) else {
      throw Failure(
        .usage, at: "salient channels", "no share of channels", expected: "0 to 1",
        found: "\(share)")
    }
    return try block.foldSites.compactMap { try losses($0, block, threads, level) }
  }

  private func losses(
    _ site: FoldSite, _ block: some Block, _ threads: Int, _ level: Processor.Level
  ) throws -> Losses? {
    let weights = try site.linears.map { ($0, try block.weight($0)) }
    guard let columns = weights.first?.1.columns,
      let inputs = try ChannelMeans(block, site.linears[0], columns: columns)
    else { return nil }
    let rounded = weights.map { ($0, grid.rounded($1, threads: threads, on: level)) }
    let kept = min(columns, max(1, Int((share * Double(columns)).rounded())))
    let sizes = [inputs.means, Self.lengths(weights.map(\.1)), drawn(columns)]
    let channels = [[]] + sizes.map { Self.largest(kept, of: $0) }
    let loss = ParentLoss(block: block, site: site, threads: threads)
    let found = try loss.values(channels.count) { index in
      let mixed = zip(weights, rounded).map { original, rounded in
        (rounded.0, rounded.1.columns(channels[index], from: original.1))
      }
      return Dictionary(uniqueKeysWithValues: mixed)
    }
    return found.map {
      Losses(
        site: site, kept: kept, plain: $0[0], byInputs: $0[1], byWeights: $0[2], byChance: $0[3])
    }
  }

  private func drawn(_ count: Int) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40)
    }
  }

  /// The channels with the largest numbers, of equal ones the first.
  private static func largest(_ count: Int, of sizes: [Float]) -> [Int] {
    let order = sizes.indices.sorted {
      sizes[$0] == sizes[$1] ? $0 < $1 : sizes[$0] > sizes[$1]
    }
    return Array(order.prefix(count))
  }

  /// Σ w² of each column.
  private static func lengths(_ weights: [Matrix]) -> [Float] {
    var sums = [Double](repeating: 0, count: weights.first?.columns ?? 0)
    for weight in weights {
      for (index, value) in weight.values.enumerated() {
        sums[index % weight.columns] += Double(value * value)
      }
    }
    return sums.map { Float($0) }
  }
}

extension Matrix {
  /// This matrix with some columns of another.
  fileprivate func columns(_ channels: [Int], from other: Matrix) -> Matrix {
    var result = self
    for row in 0..<rows {
      for column in channels {
        result.values[row * columns + column] = other.values[row * columns + column]
      }
    }
    return result
  }
}
