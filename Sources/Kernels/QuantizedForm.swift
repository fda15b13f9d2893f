public import TensorCore

/// What a code stands for before scale and offset are applied.
public enum Grid: Sendable, Equatable {
  /// The code itself, 0 ..< 2^bits.
  case affine(bits: Int)
  /// A number from a table of 2^bits entries, such as the values of a small float.
  case table(name: String, values: [Float])

  /// Bits of one code.
  public var bits: Int {
    switch self {
    case .affine(let bits): bits
    case .table(_, let values): values.count.trailingZeroBitCount
    }
  }

  /// Tables are equal where their bits are: one that holds NaN equals itself.
  public static func == (left: Grid, right: Grid) -> Bool {
    switch (left, right) {
    case (.affine(let left), .affine(let right)): left == right
    case (.table(let leftName, let left), .table(let rightName, let right)):
      leftName == rightName && left.elementsEqual(right) { $0.bitPattern == $1.bitPattern }
    default: false
    }
  }
}

/// Which columns (inputs) of a matrix share a scale and an offset; every row has its own.
public enum Grouping: Sendable, Equatable {
  /// Runs of `size` neighbouring columns; the last may be shorter. One run for a whole row where
  /// `size` is the number of columns.
  case columns(size: Int)
  /// `groups[k]` is the group of column k (`g_idx` of act-order GPTQ), each below `count`.
  case map(groups: [Int32], count: Int)

  /// The number of groups over `columns` columns.
  public func count(columns: Int) -> Int {
    switch self {
    case .columns(let size): columns.dividedRoundingUp(by: size)
    case .map(_, let count): count
    }
  }

  /// Whether columns of one group need not be neighbours.
  public var isPermuted: Bool {
    if case .map = self { true } else { false }
  }

  public func group(ofColumn column: Int) -> Int {
    switch self {
    case .columns(let size): column / size
    case .map(let groups, _): Int(groups[column])
    }
  }
}

/// How codes are moved, before or after they are scaled.
public enum Offset: Sendable, Equatable {
  /// `w = s·v` for the value v of the code.
  case none
  /// `w = s·(q − z)` with whole z, held as 16-bit unsigned numbers.
  case integer
  /// `w = s·(q − z)` with a real z of the given type (HQQ).
  case real(DType)
  /// `w = s·q + m` with a term m of the given type (MLX, AWQ GEMV_FAST).
  case added(DType)

  /// Bytes of one offset as layers hand it out.
  public var byteCount: Int {
    switch self {
    case .none: 0
    case .integer: 2
    case .real(let type), .added(let type): type.bits / 8
    }
  }
}

/// The shape of a quantized matrix without its numbers: rows are outputs, columns are inputs.
public struct QuantizedForm: Sendable, Equatable {
  public var rows: Int
  public var columns: Int
  public var grid: Grid
  public var grouping: Grouping
  /// The stored type of the scales.
  public var scaleType: DType
  public var offset: Offset
  /// What every weight is multiplied with at last, in float32 and rounded again (LLM.int8(): 1/127);
  /// nil where scale and offset are all.
  public var factor: Float?

  public init(
    rows: Int, columns: Int, grid: Grid, grouping: Grouping, scaleType: DType, offset: Offset,
    factor: Float? = nil
  ) {
    self.rows = rows
    self.columns = columns
    self.grid = grid
    self.grouping = grouping
    self.scaleType = scaleType
    self.offset = offset
    self.factor = factor
  }

  public var groups: Int { grouping.count(columns: columns) }
  public var codeCount: Int { rows * columns }
  /// Scales (and offsets) of the matrix.
  public var parameterCount: Int { rows * groups }
}

/// A rectangle of a matrix. For scales and offsets `columns` counts groups.
public struct Region: Sendable, Equatable {
  public var rows: Range<Int>
  public var columns: Range<Int>

  public init(rows: Range<Int>, columns: Range<Int>) {
    self.rows = rows
    self.columns = columns
  }

  public var count: Int { rows.count * columns.count }
}

/// How a region is laid out in memory.
public enum Order: Sendable {
  /// `[column][row]`: all outputs of one input are neighbours, as GPTQ and AWQ GEMM store them.
  case inputMajor
  /// `[row][column]`: all inputs of one output are neighbours, as a dense weight is stored.
  case outputMajor
}
