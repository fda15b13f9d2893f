import CKernels

/// Codes, one byte each, turned into f32 values.
///
/// Scales, zeros, terms and tables are f32. Each subtraction, multiplication and addition is
/// rounded once, none are fused; where a result is NaN its payload is unspecified. O(codes).
public enum Dequantize {
  /// codes [rows][columns], a scale and a zero for each column: s·(q−z).
  ///
  /// Traps if the lengths do not fit each other.
  public static func affineRows(
    _ codes: RawSpan, scales: RawSpan, zeros: RawSpan, into values: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let columns = scales.byteCount / 4
    precondition(scales.byteCount == columns * 4 && zeros.byteCount == scales.byteCount)
    precondition(values.byteCount == codes.byteCount * 4)
    precondition(columns > 0 ? codes.byteCount % columns == 0 : codes.isEmpty)
    guard columns > 0 else { return }
    let rows = codes.byteCount / columns
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, scales, zeros, &values) {
      unsafe level.kernels.pointee.affine_rows($0, $1, $2, $3, rows, columns)
    }
  }

  /// codes [count], a scale and a zero for each `group` of them: s·(q−z). The last group may be
  /// partial. Traps if the lengths do not fit each other.
  public static func affineRun(
    _ codes: RawSpan, group: Int, scales: RawSpan, zeros: RawSpan,
    into values: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(codes, group, scales, values.byteCount)
    precondition(zeros.byteCount == scales.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, scales, zeros, &values) {
      unsafe level.kernels.pointee.affine_run($0, $1, $2, $3, count, group)
    }
  }

  /// `affineRun`, each number rounded once more to BF16, nearest and ties to even: `halves` is
  /// [count], two bytes each. Traps if the lengths do not fit each other.
  public static func affineRunBF16(
    _ codes: RawSpan, group: Int, scales: RawSpan, zeros: RawSpan,
    into halves: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(codes, group, scales, halves.byteCount * 2)
    precondition(zeros.byteCount == scales.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, scales, zeros, &halves) {
      unsafe level.kernels.pointee.affine_run_bf16($0, $1, $2, $3, count, group)
    }
  }

  /// codes [count], a scale and a term for each `group` of them: s·q, rounded, then + m, rounded.
  /// The last group may be partial. Traps if the lengths do not fit each other.
  public static func addedRun(
    _ codes: RawSpan, group: Int, scales: RawSpan, added: RawSpan,
    into values: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(codes, group, scales, values.byteCount)
    precondition(added.byteCount == scales.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, scales, added, &values) {
      unsafe level.kernels.pointee.added_run($0, $1, $2, $3, count, group)
    }
  }

  /// `addedRun`, each number rounded once more to BF16, nearest and ties to even: `halves` is
  /// [count], two bytes each. Traps if the lengths do not fit each other.
  public static func addedRunBF16(
    _ codes: RawSpan, group: Int, scales: RawSpan, added: RawSpan,
    into halves: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(codes, group, scales, halves.byteCount * 2)
    precondition(added.byteCount == scales.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, scales, added, &halves) {
      unsafe level.kernels.pointee.added_run_bf16($0, $1, $2, $3, count, group)
    }
  }

  /// Signed codes [count], a scale for each `group` of them: (q·s)·`factor`, each product rounded. The
  /// last group may be partial. Traps if the lengths do not fit each other.
  public static func signedRun(
    _ codes: RawSpan, group: Int, scales: RawSpan, factor: Float,
    into values: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(codes, group, scales, values.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, scales, &values) {
      unsafe level.kernels.pointee.signed_run($0, $1, factor, $2, count, group)
    }
  }

  /// codes [count], one `table` of 16 or 256 values, a scale for each `group`: table[q]·s, where
  /// a code counts modulo the size of the table. The last group may be partial.
  ///
  /// Traps if the lengths do not fit each other.
  public static func tableRun(
    _ codes: RawSpan, table: RawSpan, group: Int, scales: RawSpan,
    into values: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = check(codes, group, scales, values.byteCount)
    let entries = table.byteCount / 4
    precondition(table.byteCount == 64 || table.byteCount == 1024)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, table, scales, &values) {
      unsafe level.kernels.pointee.table_run($0, $1, entries, $2, $3, count, group)
    }
  }

  /// codes [count] below 16, one table of 16 two-byte values for each `group` of them, [groups][16]:
  /// the value of each code. The last group may be partial. Traps if the lengths do not fit each other.
  public static func lookup(
    _ codes: RawSpan, tables: RawSpan, group: Int, into halves: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(group > 0 && halves.byteCount == count * 2)
    precondition(tables.byteCount == (count / group + (count % group == 0 ? 0 : 1)) * 32)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, tables, &halves) {
      unsafe level.kernels.pointee.lookup_halves($0, $1, $2, count, group)
    }
  }

  private static func check(
    _ codes: RawSpan, _ group: Int, _ scales: RawSpan, _ valueBytes: Int
  ) -> Int {
    let count = codes.byteCount
    precondition(group > 0 && valueBytes == count * 4)
    let groups = count / group + (count % group == 0 ? 0 : 1)
    precondition(scales.byteCount == groups * 4)
    return count
  }
}
