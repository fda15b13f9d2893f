internal import TensorCore

/// Xᵀ·X of each group of input channels by itself, f64 `[groups][size][size]`: all that a loss over the
/// outputs of one group needs of the inputs, however many tokens there are.
@safe
public final class GroupGrams: @unchecked Sendable {
  public let columns: Int
  /// Channels of a group; the last may be shorter, and fills the corner of its square.
  public let size: Int
  public private(set) var tokens = 0
  /// Tokens that are widened to f64 together.
  private static let chunk = 256
  private let squares: [SquareMatrix]

  public var groups: Int { squares.count }

  public init(columns: Int, size: Int) {
    (self.columns, self.size) = (columns, size)
    squares = (0..<columns.dividedRoundingUp(by: size)).map {
      SquareMatrix(count: min(size, columns - $0 * size), precision: .double)
    }
  }

  /// Adds inputs f32 `[tokens][columns]`. O(tokens·columns·size). Traps where counts do not fit.
  public func add(_ inputs: RawSpan, threads: Int = Processor.cores) {
    let count = inputs.byteCount / 4 / columns
    precondition(inputs.byteCount == count * columns * 4)
    parallelFor(groups, threads: threads) { group in
      let range = range(group)
      for start in stride(from: 0, to: count, by: Self.chunk) {
        let rows = start..<min(start + Self.chunk, count)
        var part = AlignedBytes(count: rows.count * range.count * 8)
        var target = part.mutableBytes
        for (index, row) in rows.enumerated() {
          let first = row * columns + range.lowerBound
          FloatConversion.toFloat64(
            inputs.part(first * 4..<(first + range.count) * 4), into: &target,
            at: index * range.count)
        }
        squares[group].addGram(part.bytes, tokens: rows.count, threads: 1)
      }
    }
    tokens += count
  }

  /// Completes the squares, with the channels divided by `factors`: those of inputs x/s.
  public func finish(dividedBy factors: [Float]? = nil) {
    for (group, square) in squares.enumerated() {
      square.completeTriangle(times: 1, threads: 1)
      guard let factors else { continue }
      square.divideRowsAndColumns(by: Array(factors[range(group)]), threads: 1)
    }
  }

  /// Σ over tokens of (d·x)² for rows d f32 `[rows][channels of the group]`, in f64: one number for each row.
  public func losses(_ group: Int, _ rows: [Float]) -> [Double] {
    precondition(rows.count % range(group).count == 0)
    return squares[group].quadraticForms(of: rows.rawSpan)
  }

  public func range(_ group: Int) -> Range<Int> {
    group * size..<min((group + 1) * size, columns)
  }
}
