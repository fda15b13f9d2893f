internal import Kernels
internal import Models
internal import Quantizers

/// What AWQ's search of one block costs, in operations of products of matrices.
struct SearchCost {
  private let block: BlockPlan
  private let quantization: WeightQuantization
  private let tokens: Double
  /// All tokens through attention but for its linear layers.
  private let attention: Double
  /// Bytes of kept inputs and outputs.
  private let room: Double
  private let cost: BlockCost
  private let linears: [String: LinearPlan]

  /// Rounding a weight and taking it to the device, and finding how far its group may reach, take as long.
  private static let rounding = 900.0

  init(
    _ block: BlockPlan, _ quantization: WeightQuantization, _ tokens: Double, attention: Double,
    room: Int
  ) {
    (self.block, self.quantization, self.tokens) = (block, quantization, tokens)
    (self.attention, self.room) = (attention, Double(room))
    cost = block.cost
    linears = Dictionary(
      block.linears.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// All sites' scales.
  var scales: Double { block.foldSites.reduce(0) { $0 + scales($1) } }

  private func scales(_ site: FoldSite) -> Double {
    let scaled = site.linears.compactMap { linears[$0] }
    guard let first = scaled.first else { return 0 }
    let weights = scaled.reduce(0.0) { $0 + Double($1.rows) * Double($1.columns) }
    // The means of the inputs, and what is compared: one pass where both have room.
    let width = (try? block.widths(of: site.parent)) ?? 0
    let passes = tokens * Double(width) * 4 > room ? 2.0 : 1
    return passes * reaching(first) + candidates * Self.rounding * weights + losses(site, first)
  }

  /// All candidates' losses.
  private func losses(_ site: FoldSite, _ first: LinearPlan) -> Double {
    if site.linears == [site.parent] {
      let square = Double(first.columns) * Double(first.columns)
      return square * (tokens * block.share(of: first) + candidates * Double(first.rows))
    }
    let half = site.parent == block.attention.name ? BlockHalf.attention : .feedForward
    let own = tokens * ((cost.inner[half] ?? 0) + (cost.last[half] ?? 0))
    return (candidates + 1) * (own + (half == .attention ? attention : 0))
  }

  /// Clips of layers that share an input.
  func clips(_ groups: [[LinearPlan]]) -> Double {
    guard quantization.clips else { return 0 }
    return groups.reduce(0) { sum, group in
      let clipped = group.filter { ClipSearch.isClipped($0.name) }
      guard let first = clipped.first else { return sum }
      let square = Double(first.columns) * Double(first.columns)
      let rows = Double(clipped.reduce(0) { $0 + $1.rows })
      return sum + reaching(first) + square * (tokens * block.share(of: first) + 6 * rows)
    }
  }

  /// Scales that are tried, and none.
  private var candidates: Double {
    quantization.awqRatio != nil ? 2 : quantization.awqRules == .best ? 41 : 21
  }

  /// A pass of all tokens that ends where a linear layer would read.
  private func reaching(_ linear: LinearPlan) -> Double {
    guard !block.attention.inputs.contains(linear) else { return 0 }
    let before = tokens * (cost.inner[.attention] ?? 0) + attention
    guard linear != block.attention.output else { return before }
    let behind = before + tokens * (cost.last[.attention] ?? 0)
    let isLast = block.hasExperts || linear == block.lastLinear(of: .feedForward)
    return behind + (isLast ? tokens * (cost.inner[.feedForward] ?? 0) : 0)
  }
}
