public import Kernels
public import TensorCore

/// The integers that a linear layer's weights become: how many there are, which columns share a scale,
/// and how the range of a group is found. Value = scale·(code − zero).
public struct UniformGrid: Sendable, Equatable {
  /// How many values a code has.
  public enum Codes: Sendable, Equatable {
    /// 2^bits, of 2 to 8 bits.
    case bits(Int)
    /// −scale, 0 and scale, held as 2-bit codes 1, 2 and 3 around the zero point 2 of all symmetric ones.
    case ternary
  }

  public var codes: Codes
  /// Columns of a group; nil: one group for a whole row.
  public var groupSize: Int?
  /// One zero point, in the middle, for all groups; otherwise each has its own.
  public var isSymmetric: Bool
  /// nil: ranges hold the smallest and the largest number.
  public var search: RangeSearch?
  /// What scales are stored as. Codes are found with the scales before they are rounded to it, as
  /// GPTQModel does, which casts them when it packs.
  public var scaleType: DType

  public init(
    _ codes: Codes = .bits(4), groupSize: Int? = 128, isSymmetric: Bool = true,
    search: RangeSearch? = nil, scaleType: DType = .f16
  ) {
    (self.codes, self.groupSize, self.isSymmetric) = (codes, groupSize, isSymmetric)
    (self.search, self.scaleType) = (search, scaleType)
  }

  /// Bits that a code is stored in.
  public var bits: Int {
    switch codes {
    case .bits(let bits): bits
    case .ternary: 2
    }
  }

  /// Throws `usage` for settings that no numbers can follow.
  public func check() throws(Failure) {
    guard (2...8).contains(bits) else {
      throw Failure(
        .usage, at: "bits", "no such width of codes", expected: "2 to 8", found: "\(bits)")
    }
    guard groupSize.map({ $0 > 0 }) ?? true else {
      throw Failure(
        .usage, at: "group size", "a group needs columns", expected: "at least 1",
        found: "\(groupSize ?? 0)")
    }
    guard isSymmetric || codes != .ternary else {
      throw Failure(
        .usage, at: "ternary codes", "have one zero point", expected: "symmetric ranges")
    }
    guard search?.isPossible ?? true else {
      throw Failure(
        .usage, at: "range search", "no such search",
        expected: "a norm of 1 to 8, 1 to \(RangeSearch.maxSteps) steps, fewer than the grid")
    }
    guard [.f16, .bf16, .f32].contains(scaleType) else {
      throw Failure(
        .usage, at: "scale type", "no type for scales", expected: "F16, BF16 or F32",
        found: scaleType.rawValue)
    }
  }

  /// What is added to codes and zero points as they were found: ternary ones are found as 0, 1 and 2.
  var lift: Int { codes == .ternary ? 1 : 0 }

  /// The largest code as they are found.
  var top: Int { codes == .ternary ? 2 : 1 << bits - 1 }

  var rule: RangeRule {
    RangeRule(
      top: top, zero: isSymmetric ? (top + 1) / 2 : nil, mirrors: codes == .ternary, search: search)
  }

  /// Columns of a group of a matrix with so many.
  func groupSize(columns: Int) -> Int { min(groupSize ?? columns, columns) }

  func form(rows: Int, columns: Int, grouping: Grouping) -> QuantizedForm {
    QuantizedForm(
      rows: rows, columns: columns, grid: .affine(bits: bits), grouping: grouping,
      scaleType: scaleType, offset: .integer)
  }
}
