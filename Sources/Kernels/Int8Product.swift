import CKernels
internal import TensorCore

/// Products of int8 matrices, exact in 32 bits.
public enum Int8Product {
  /// The deepest sum that no values can push out of 32 bits: 2¹⁴ · 131071 < 2³¹.
  public static let maxDepth = 131_071

  /// Rows and columns of one task: enough of both that packing them costs little.
  private static let rowBlock = 576
  private static let columnBlock = 192

  /// a [rows][depth] times the transpose of b [columns][depth], both int8, into sums [rows]
  /// [columns] of int32, all row-major: Σ a·b over the depth, exactly, by every level.
  /// O(rows·columns·depth), in parallel; each thread takes some 400 kB.
  ///
  /// Traps where the lengths do not fit or `depth` passes `maxDepth`.
  public static func multiply(
    _ a: RawSpan, rows: Int, _ b: RawSpan, columns: Int, depth: Int,
    into sums: inout MutableRawSpan, threads: Int = Processor.cores,
    on level: Processor.Level = .best
  ) {
    precondition(rows >= 0 && columns >= 0 && (0...maxDepth).contains(depth))
    precondition(a.byteCount == rows * depth && b.byteCount == columns * depth)
    precondition(sums.byteCount == rows * columns * 4)
    guard rows > 0, columns > 0 else { return }
    guard depth > 0 else { return zero(&sums) }
    let down = rows.dividedRoundingUp(by: rowBlock)
    let across = columns.dividedRoundingUp(by: columnBlock)
    // SAFETY: the lengths were checked above. Tasks write disjoint rectangles of the sums and all
    // end before this function does.
    unsafe lend(a, b, &sums) { a, b, sums in
      let operands = unsafe Operands(a: a, b: b, sums: sums)
      try? parallelBands(down * across, threads: threads) { task, workspace in
        let row = task / across * rowBlock
        let column = task % across * columnBlock
        let high = min(rowBlock, rows - row)
        let wide = min(columnBlock, columns - column)
        workspace.lend(Int(ck_int8_scratch)) { scratch in
          unsafe scratch.withUnsafeMutableBytes { scratch in
            unsafe level.kernels.pointee.int8_product(
              operands.a + row * depth, high, operands.b + column * depth, wide, depth,
              (operands.sums + (row * columns + column) * 4).assumingMemoryBound(to: Int32.self),
              columns, scratch.baseAddress)
          }
        }
      }
    }
  }

  private static func zero(_ sums: inout MutableRawSpan) {
    for index in 0..<sums.byteCount { sums.set(0 as UInt8, at: index) }
  }

  @safe
  private struct Operands: @unchecked Sendable {
    let a: UnsafeRawPointer
    let b: UnsafeRawPointer
    let sums: UnsafeMutableRawPointer
  }
}
