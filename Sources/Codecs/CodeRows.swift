import Kernels
import TensorCore

extension PackedLayer {
  /// Rows that are turned at a time: their words, or codes, of all columns stay in the cache.
  private static var strip: Int { 64 }

  /// Calls `body` for each row of a region, counted from 0, with its codes, one byte each.
  ///
  /// The region is read in the order in which it lies. Where that is not rows, strips of it are turned;
  /// words that are stored are unpacked a row at a time.
  func forEachCodeRow(
    of region: Region, _ workspace: Workspace, _ body: (_ row: Int, _ codes: RawSpan) throws -> Void
  ) throws {
    if let interleaved { return try interleaved.forEach(of: region, workspace, body) }
    let bits = form.grid.bits
    let isWords = storesWords && region.columns.count * bits % 32 == 0
    let size = isWords ? region.columns.count * bits / 8 : region.columns.count
    try workspace.lend(region.rows.count * size) { stored in
      if isWords {
        try readWords(region, order, into: &stored, workspace)
      } else {
        try readCodes(region, order, into: &stored, workspace)
      }
      try workspace.lend(region.columns.count) { codes in
        try forEachStoredRow(of: stored.bytes, region, isWords: isWords, workspace) { row, stored in
          // A word of 8-bit codes is its codes.
          guard isWords, bits < 8 else { return try body(row, stored) }
          BitStream.unpack(bits: bits, stored, into: &codes)
          try body(row, codes.bytes)
        }
      }
    }
  }

  /// Calls `body` with the words or codes of one row after another.
  private func forEachStoredRow(
    of stored: RawSpan, _ region: Region, isWords: Bool, _ workspace: Workspace,
    _ body: (_ row: Int, _ stored: RawSpan) throws -> Void
  ) throws {
    let height = region.rows.count
    guard height > 0 else { return }
    guard order == .inputMajor else {
      let size = stored.byteCount / height
      for row in 0..<height { try body(row, stored.part(row * size..<(row + 1) * size)) }
      return
    }
    let size = isWords ? 4 : 1
    let lines = stored.byteCount / size / height
    for start in stride(from: 0, to: height, by: Self.strip) {
      let rows = start..<min(start + Self.strip, height)
      let source = stored.part(start * size..<stored.byteCount - (height - rows.upperBound) * size)
      let turned = TurnedRows(count: rows.count, length: lines, size: size)
      try turned.lend(source, stride: height, workspace) { strip in
        for row in rows { try body(row, strip.part(turned.bytes(ofRow: row - start))) }
      }
    }
  }
}

/// Rows made by turning columns of elements of 1 or 4 bytes. A cache line lies between each and the next:
/// rows of 4096 bytes without it would all compete for the same places in the cache.
struct TurnedRows {
  let count: Int
  /// Elements of a row.
  let length: Int
  let size: Int

  private var spacing: Int { length + 64 / size }

  func bytes(ofRow row: Int) -> Range<Int> {
    row * spacing * size..<(row * spacing + length) * size
  }

  /// Lends `source` turned: `[length][stride]`, of which the first `count` columns are wanted.
  func lend(
    _ source: RawSpan, stride: Int, _ workspace: Workspace, _ body: (_ rows: RawSpan) throws -> Void
  ) throws {
    guard count > 0, length > 0 else { return }
    try workspace.lend(((count - 1) * spacing + length) * size) { rows in
      if size == 4 {
        Transpose.words(
          source, rows: length, columns: count, stride: stride, spacing: spacing, into: &rows)
      } else {
        Transpose.bytes(
          source, rows: length, columns: count, stride: stride, spacing: spacing, into: &rows)
      }
      try body(rows.bytes)
    }
  }
}
