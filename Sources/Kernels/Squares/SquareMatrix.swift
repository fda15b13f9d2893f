internal import TensorCore

/// A square matrix `[count][count]` in f32 or f64, row-major, worked on tile by tile on many cores.
///
/// One thread at a time calls its methods, which share the work out themselves; what is only read may be
/// read by many.
@safe
public final class SquareMatrix: @unchecked Sendable {
  /// The type of the numbers and of the sums made of them.
  public enum Precision: String, Sendable, CaseIterable {
    case single, double

    var byteCount: Int { self == .single ? 4 : 8 }
  }

  /// Rows and columns of a tile: the same whatever the number of threads, and with it the bits.
  static let tile = 256

  public let count: Int
  public let precision: Precision
  private let storage: MatrixStore.Block
  /// Where the memory goes back to.
  private let store: MatrixStore?
  let base: UnsafeMutableRawPointer

  /// Zeros. O(count²).
  public convenience init(count: Int, precision: Precision = .single) {
    self.init(count: count, precision: precision, in: nil)
  }

  /// Zeros in memory that a store lends, if there is one. O(count²), in parallel.
  public static func zeros(
    _ count: Int, precision: Precision, in store: MatrixStore?, threads: Int = Processor.cores
  ) -> SquareMatrix {
    let result = SquareMatrix(count: count, precision: precision, in: store)
    guard store != nil else { return result }
    parallelFor(result.tiles, threads: threads) { tile in
      result.block(result.range(tile), 0..<count).clear()
    }
    return result
  }

  private var byteCount: Int { count * count * precision.byteCount }

  /// Numbers of unspecified value in memory that a store lends; zeros where there is none.
  init(count: Int, precision: Precision, in store: MatrixStore?) {
    (self.count, self.precision, self.store) = (count, precision, store)
    let size = count * count * precision.byteCount
    storage = store?.take(size) ?? MatrixStore.Block(count: size)
    // SAFETY: the block is kept, does not move, and is freed after the last use of this object.
    unsafe base = storage.bytes.withMutableBytes(count: size) {
      unsafe $0.withUnsafeMutableBytes {
        unsafe $0.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 64)!
      }
    }
  }

  deinit { store?.give(storage) }

  /// Of f32 numbers `[count][count]`. Traps where there are others.
  public convenience init(_ values: [Float], count: Int) {
    precondition(values.count == count * count)
    self.init(count: count)
    withMutableBytes { $0.copy(from: values.rawSpan) }
  }

  /// Of numbers `[count][count]` in their own precision. Traps where there are others.
  public convenience init(_ bytes: RawSpan, count: Int, precision: Precision) {
    precondition(bytes.byteCount == count * count * precision.byteCount)
    self.init(count: count, precision: precision)
    withMutableBytes { $0.copy(from: bytes) }
  }

  /// This matrix in another precision, or itself: each number rounded to nearest. O(count²).
  public func converted(
    to precision: Precision, threads: Int = Processor.cores
  ) -> SquareMatrix {
    if precision == self.precision { return self }
    let result = SquareMatrix(count: count, precision: precision)
    parallelFor(tiles, threads: threads) { tile in
      let (from, to) = (block(range(tile), 0..<count), result.block(range(tile), 0..<count))
      for index in 0..<range(tile).count * count {
        // SAFETY: rows of a tile are neighbours, so all numbers of both blocks are.
        switch precision {
        case .single: unsafe to.f32[index] = Float(from.f64[index])
        case .double: unsafe to.f64[index] = Double(from.f32[index])
        }
      }
    }
    return result
  }

  /// All numbers, for the length of a call.
  public func withBytes<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
    try storage.bytes.withBytes { try body($0.part(0..<byteCount)) }
  }

  func withMutableBytes(_ body: (inout MutableRawSpan) -> Void) {
    storage.bytes.withMutableBytes(count: byteCount, body)
  }

  /// A number. Traps outside of the bounds.
  public subscript(row: Int, column: Int) -> Double {
    precondition((0..<count).contains(row) && (0..<count).contains(column))
    let offset = (row * count + column) * precision.byteCount
    // SAFETY: the offset lies within the block.
    return unsafe precision == .single
      ? Double(base.load(fromByteOffset: offset, as: Float.self))
      : base.load(fromByteOffset: offset, as: Double.self)
  }

  func set(_ value: Double, _ row: Int, _ column: Int) {
    precondition((0..<count).contains(row) && (0..<count).contains(column))
    let offset = (row * count + column) * precision.byteCount
    // SAFETY: as above; callers write each number on one thread only.
    if precision == .single {
      unsafe base.storeBytes(of: Float(value), toByteOffset: offset, as: Float.self)
    } else {
      unsafe base.storeBytes(of: value, toByteOffset: offset, as: Double.self)
    }
  }

  /// The diagonal in f32. O(count).
  public var diagonal: [Float] { (0..<count).map { Float(self[$0, $0]) } }

  /// The numbers in f32, `[count][count]`. O(count²).
  public var values: [Float] {
    var values: [Float] = []
    values.reserveCapacity(count * count)
    for row in 0..<count { for column in 0..<count { values.append(Float(self[row, column])) } }
    return values
  }

  /// The number of tiles along a side.
  var tiles: Int { count.dividedRoundingUp(by: Self.tile) }

  /// Rows (or columns) of a tile.
  func range(_ tile: Int) -> Range<Int> {
    tile * Self.tile..<min((tile + 1) * Self.tile, count)
  }

  /// A rectangle as BLAS takes it.
  func block(_ rows: Range<Int>, _ columns: Range<Int>) -> BLASBlock {
    precondition(rows.upperBound <= count && columns.upperBound <= count)
    // SAFETY: the corner lies within the matrix.
    return unsafe BLASBlock(
      address: base + (rows.lowerBound * count + columns.lowerBound) * precision.byteCount,
      rows: rows.count, columns: columns.count, stride: count, precision: precision)
  }
}
