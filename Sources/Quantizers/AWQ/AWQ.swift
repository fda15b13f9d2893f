public import Kernels
import TensorCore

/// Activation-aware weight quantization (Lin et al., 2024): scales for input channels are moved into the operation
/// before, where that lowers the error of what reads them; then ranges are clipped.
public struct AWQ: Sendable {
  /// Whose habits hold where they differ.
  public enum Rules: String, Sendable, CaseIterable {
    /// Also tries no scales at all and ratios without the weights' share, leaves out scales that F16 can't hold, and
    /// clips a group only where that lowers the error of its row's outputs, given the errors of the other groups:
    /// never worse than rounding to nearest on the calibration data.
    case best
    /// AutoAWQ's: twenty ratios of one kind, each group's clip by itself.
    case autoawq
  }

  public var grid: AWQGrid
  /// Linear layers that have another grid.
  public var overrides: [String: AWQGrid] = [:]
  /// Linear layers of the block's sites that are scaled with the others but stay dense, such as routers.
  public var dense: Set<String> = []
  public var rules: Rules
  /// Ratios tried: i/points for i in 0..<points.
  public var points = 20
  /// Whether scales also count how large the weights of a channel are in their groups (`duo_scaling`).
  public var isDuo = true
  /// One ratio instead of the search.
  public var fixedRatio: Float?
  /// nil: no clipping.
  public var clip: ClipSearch? = ClipSearch()
  /// AutoAWQ 0.2.9 keeps no copy of the weights where they lie on the CPU already, so from its second ratio on it
  /// measures those of the first, scaled, and then folds the best scales into these: the layers it writes are off
  /// by the first scales, and worse than rounded to nearest. Set to compare losses with such a run.
  public var measuresScaledWeights = false

  public init(_ grid: AWQGrid = AWQGrid(), rules: Rules = .best) {
    (self.grid, self.rules) = (grid, rules)
  }

  /// nil where the layer stays dense.
  func grid(of linear: String) -> AWQGrid? {
    dense.contains(linear) ? nil : overrides[linear] ?? grid
  }

  /// Searches a block: the sites' scales one by one, each on the weights as they came, then clips on the folded ones.
  /// Layers that no token reaches keep their weights.
  ///
  /// Memory: the inputs' Gram matrix of one linear layer, and a parent's outputs of one of the block's parts. Throws
  /// `usage`, `cannotRepresent` where nothing finite was found, and what the block throws.
  public func search(
    _ block: some Block, threads: Int = Processor.cores, on level: Processor.Level = .best
  ) throws -> AWQResult {
    for grid in [grid] + overrides.values { try grid.check() }
    var sites: [SiteResult] = []
    for site in block.foldSites {
      let search = ScaleSearch(
        awq: self, site: site, folds: sites.compactMap(\.fold), threads: threads, level: level)
      sites.append(try search.run(block))
    }
    let folds = sites.compactMap(\.fold)
    var clips: [String: ClipBounds] = [:]
    for group in clip == nil ? [] : block.inputGroups {
      let linears = group.filter { ClipSearch.isClipped($0) && grid(of: $0) != nil }
      let found = try clip?.run(self, folds, linears, block, threads: threads, on: level)
      clips.merge(found ?? [:]) { $1 }
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
  /// Mean squared error of the parent's output for each ratio; NaN where a candidate is not finite. None where no
  /// token reached the site.
  public let losses: [Double]
  /// Which candidate was best; nil where no scales at all were.
  public let best: Int?
  /// The loss of rounding without scales.
  public let plainLoss: Double
  public let fold: Fold?
}
