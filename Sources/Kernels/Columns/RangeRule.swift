internal import CKernels

/// How the numbers of a group become codes 0 … `top`, value = scale·(code − zero): GPTQ's `quant.py`, as
/// GPTQModel's `quantizer.py` has it too.
///
/// The range reaches from the smallest number to the largest and holds 0; a symmetric one reaches as far
/// below 0 as above where anything is below it. Without any number but 0 it is −1 … 1. Its length
/// divided by `top` is the scale; the zero point is −minimum/scale, rounded, or `zero`.
public struct RangeRule: Sendable, Equatable {
  /// The largest code: 2^bits − 1, or 2 for ternary codes.
  public var top: Int
  /// The zero point of all symmetric ranges; nil for ranges that have their own.
  public var zero: Int?
  /// Whether a symmetric range reaches below 0 where no number does (ternary codes).
  public var mirrors: Bool
  /// nil: the whole range.
  public var search: RangeSearch?

  public init(top: Int, zero: Int?, mirrors: Bool = false, search: RangeSearch? = nil) {
    (self.top, self.zero, self.mirrors, self.search) = (top, zero, mirrors, search)
  }

  var kernelRule: ck_range_rule {
    ck_range_rule(
      top: Float(top), zero: Float(zero ?? 0), is_symmetric: zero == nil ? 0 : 1,
      mirrors: mirrors ? 1 : 0, tries_neighbours: top == 3 && zero == nil && search != nil ? 1 : 0,
      norm: search?.norm ?? 2, grid: UInt32(search?.grid ?? 1), steps: UInt32(search?.steps ?? 0))
  }
}

/// A search for the shrunk range of least Σ weight·|error|^norm: step i of `steps` shrinks it to
/// 1 − i/`grid`. Of 2-bit ranges with zero points of their own both neighbours of the ideal one are tried.
public struct RangeSearch: Sendable, Equatable {
  public static let maxSteps = Int(ck_range_steps)

  public var norm: Float
  public var grid: Int
  public var steps: Int
  /// Whether errors are weighted by how large their column's input is, mean x².
  public var isWeighted: Bool

  public init(norm: Float = 2.4, grid: Int = 100, shrink: Double = 0.8, isWeighted: Bool = false) {
    (self.norm, self.grid, self.isWeighted) = (norm, grid, isWeighted)
    steps = Int((shrink * Double(grid)).rounded(.down))
  }

  /// Whether the kernels can make it: a norm of 1 to 8, at most `maxSteps` steps, none to nothing.
  public var isPossible: Bool {
    norm >= 1 && norm <= 8 && steps >= 1 && steps <= Self.maxSteps && grid >= steps
  }
}
