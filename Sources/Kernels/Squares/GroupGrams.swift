internal import TensorCore

/// Xᵀ·X of each group of input channels by itself, f32 `[groups][size][size]`: all that a loss over the
/// outputs of one group needs of the inputs, however many tokens there are.
@safe
public final class GroupGrams: @unchecked Sendable {
  public let columns: Int
  /// Channels of a group; the last may be shorter, and fills the corner of its square.
  public let size: Int
  public private(set) var tokens = 0
  private let squares: [SquareMatrix]

  public var groups: Int { squares.count }

  public init(columns: Int, size: Int) {
    (self.columns, self.size) = (columns, size)
    squares = (0..<columns.dividedRoundingUp(by: size)).map {
      SquareMatrix(count: min(size, columns - $0 * size))
    }
  }

  /// Adds inputs f32 `[tokens][columns]`. O(tokens·columns·size). Traps where counts do not fit.
  public func add(_ inputs: RawSpan, threads: Int = Processor.cores) {
    let count = inputs.byteCount / 4 / columns
    precondition(inputs.byteCount == count * columns * 4)
    // SAFETY: each task reads the inputs and writes a square of its own.
    unsafe lend(inputs) { address, _ in
      let all = unsafe BLASBlock(
        address: UnsafeMutableRawPointer(mutating: address), rows: count, columns: columns,
        stride: columns, precision: .single)
      parallelFor(groups, threads: threads) { group in
        let range = range(group)
        let square = squares[group]
        square.block(0..<range.count, 0..<range.count).addGram(all.columns(range))
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

  /// Σ over tokens of (d·x)² for rows d f32 `[rows][channels of the group]`: one number for each row.
  public func losses(_ group: Int, _ rows: [Float]) -> [Float] {
    let width = range(group).count
    let count = rows.count / width
    precondition(rows.count == count * width)
    var products = AlignedBytes(count: rows.count * 4)
    products.withMutableBytes(count: products.count) { products in
      squares[group].withBytes {
        BLAS.multiplyTransposed(
          rows.rawSpan, rows: count, $0, columns: width, depth: width, into: &products)
      }
    }
    let bytes = products.bytes
    let source = rows.rawSpan
    return (0..<count).map { row in
      var sum: Float = 0
      for index in row * width..<(row + 1) * width {
        sum += bytes.float32(at: index) * source.float32(at: index)
      }
      return sum
    }
  }

  public func range(_ group: Int) -> Range<Int> {
    group * size..<min((group + 1) * size, columns)
  }
}
