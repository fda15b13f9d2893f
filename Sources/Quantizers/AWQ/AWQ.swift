public import Kernels
import TensorCore

/// Activation-aware weight quantization (Lin et al., 2024): scales for input channels are moved into the operation
/// before, where that lowers the error of what reads them; then ranges are clipped.
public struct AWQ: Sendable {
  /// Whose habits hold where they differ.
  public enum Rules: String, Sendable, CaseIterable {
    /// Also tries no scales at all, ratios without the weights' share, and keeps a row's clip only where all of its
    /// inputs together agree: never worse than rounding to nearest on the calibration data.
    case best
    /// AutoAWQ's: twenty ratios of one kind, each group's clip by itself.
    case autoawq
  }

  public var grid: AWQGrid
  public var rules: Rules
  /// Ratios tried: i/points for i in 0..<points.
  public var points = 20
  /// Whether scales also count how large the weights of a channel are in their groups (`duo_scaling`).
  public var isDuo = true
  /// One ratio instead of the search.
  public var fixedRatio: Float?
  /// nil: no clipping.
  public var clip: ClipSearch? = ClipSearch()
  /// AutoAWQ keeps no copy of the weights where they lie on the CPU already, so from its second ratio on it
  /// measures those of the first, scaled: set to compare losses with such a run.
  public var measuresScaledWeights = false

  public init(_ grid: AWQGrid = AWQGrid(), rules: Rules = .best) {
    (self.grid, self.rules) = (grid, rules)
  }

  /// Searches a block: the sites' scales one by one, each on the weights as they came, then clips on the folded ones.
  ///
  /// Memory: the inputs' Gram matrix of one linear layer, and the parents' outputs of all tokens. Throws `usage`,
  /// `cannotRepresent` where nothing finite was found, and what the block throws.
  public func search(
    _ block: some Block, threads: Int = Processor.cores, on level: Processor.Level = .best
  ) throws -> AWQResult {
    try grid.check()
    var sites: [SiteResult] = []
    for site in block.foldSites {
      let search = ScaleSearch(awq: self, site: site, threads: threads, level: level)
      sites.append(try search.run(block))
    }
    let folds = sites.compactMap(\.fold)
    var clips: [String: ClipBounds] = [:]
    if let clip {
      for linear in block.inputGroups.joined() where ClipSearch.isClipped(linear) {
        clips[linear] = try clip.run(
          self, folds, linear, block, threads: threads, on: level)
      }
    }
    return AWQResult(sites: sites, clips: clips)
  }
}

/// What a search found.
public struct AWQResult: Sendable {
  public let sites: [SiteResult]
  /// By linear layer, for the folded weights.
  public let clips: [String: ClipBounds]

  public var folds: [Fold] { sites.compactMap(\.fold) }

  public init(sites: [SiteResult], clips: [String: ClipBounds]) {
    (self.sites, self.clips) = (sites, clips)
  }

  /// The weight of a linear layer with all folds in it, and clipped where that was found better.
  public func weight(_ linear: String, from original: Matrix) -> Matrix {
    let folded = folds.weight(linear, from: original)
    return clips[linear].map { $0.applied(to: folded) } ?? folded
  }
}

/// What the search of one site found.
public struct SiteResult: Sendable {
  public let site: FoldSite
  /// Mean squared error of the parent's output for each ratio; NaN where a candidate is not finite.
  public let losses: [Double]
  /// Which candidate was best; nil where no scales at all were.
  public let best: Int?
  /// The loss of rounding without scales.
  public let plainLoss: Double
  public let fold: Fold?
}
