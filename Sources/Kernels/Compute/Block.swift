/// One decoder block with its calibration inputs, as quantizers see it: which linear layers there are,
/// what they share, what may be folded into what, and its output with other weights.
///
/// Models conform; quantizers search; checkpoints apply what was found.
public protocol Block: Sendable {
  /// Linear layers that share an input, in order of execution, by module path.
  var inputGroups: [[String]] { get }
  /// Where scales may be moved between operations, in order of execution.
  var foldSites: [FoldSite] { get }
  /// The weight of a linear layer.
  func weight(_ linear: String) throws -> Matrix
  /// Hands on the inputs of a linear layer for all calibration tokens in runs `[tokens][inputs]` f32, of
  /// one order every time, with the weights as they are now.
  func forEachInput(of linear: String, _ body: (_ tokens: Int, _ values: [Float]) throws -> Void)
    throws
  /// The runs in parts, each of which memory has room for what comes to a module and what it makes of it.
  func parts(of parent: String) throws -> [Range<Int>]
  /// Hands on the outputs `[tokens][outputs]` of a module of the block (one of `foldSites`' parents) in some runs,
  /// with other weights in the place of some: every call gets the same tokens in the same order.
  func forEachOutput(
    of parent: String, in runs: Range<Int>, replacing weights: [String: Matrix],
    _ body: (_ tokens: Int, _ values: [Float]) throws -> Void
  ) throws
}

/// An operation and the linear layers that read its output: what one is divided by, the columns of the others
/// are multiplied with, and the block's output stays as it is.
public struct FoldSite: Sendable, Equatable {
  /// What produces the input of the linear layers.
  public enum Source: Sendable, Equatable {
    /// A norm's weight, and its bias where it has one; `isOffset`: the norm multiplies by 1 + γ, so that
    /// γ becomes (1 + γ)/s − 1.
    case norm(String, isOffset: Bool)
    /// Output rows of a linear layer, and its bias: v → o, up → down, fc1 → fc2.
    case linear(String, rows: Range<Int>)
  }

  public let source: Source
  /// The linear layers whose columns are scaled, by module path.
  public let linears: [String]
  /// The module whose output is compared in the search (AWQ's `module2inspect`); equal to the one linear
  /// where it is that alone.
  public let parent: String

  public init(source: Source, linears: [String], parent: String) {
    self.source = source
    self.linears = linears
    self.parent = parent
  }
}

/// A scale for each input channel of a site's linear layers, found by a search.
public struct Fold: Sendable, Equatable {
  public let site: FoldSite
  /// Positive and finite; the source is divided by them, the linears' columns are multiplied.
  public let factors: [Float]

  public init(site: FoldSite, factors: [Float]) {
    self.site = site
    self.factors = factors
  }
}
