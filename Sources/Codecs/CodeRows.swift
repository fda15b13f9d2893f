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
      try forEachStrip(of: stored.bytes, region, isWords: isWords, workspace) { rows, strip in
        // A word of 8-bit codes is its codes.
        guard isWords, bits < 8 else {
          for (position, row) in rows.enumerated() {
            try body(row, strip.part(position * size..<(position + 1) * size))
          }
          return
        }
        try workspace.lend(region.columns.count) { codes in
          for (position, row) in rows.enumerated() {
            let words = strip.part(position * size..<(position + 1) * size)
            BitStream.unpack(bits: bits, words, into: &codes)
            try body(row, codes.bytes)
          }
        }
      }
    }
  }

  /// Calls `body` with words or codes `[row][…]` of some rows after others.
  private func forEachStrip(
    of stored: RawSpan, _ region: Region, isWords: Bool, _ workspace: Workspace,
    _ body: (_ rows: Range<Int>, _ strip: RawSpan) throws -> Void
  ) throws {
    let height = region.rows.count
    guard order == .inputMajor else { return try body(0..<height, stored) }
    let size = isWords ? 4 : 1
    let lines = stored.byteCount / size / max(height, 1)
    for start in stride(from: 0, to: height, by: Self.strip) {
      let rows = start..<min(start + Self.strip, height)
      try workspace.lend(lines * rows.count * size) { strip in
        let source = stored.part(
          start * size..<stored.byteCount - (height - rows.upperBound) * size)
        if isWords {
          Transpose.words(
            source, rows: lines, columns: rows.count, stride: height, into: &strip)
        } else {
          Transpose.bytes(
            source, rows: lines, columns: rows.count, stride: height, into: &strip)
        }
        try body(rows, strip.bytes)
      }
    }
  }
}
