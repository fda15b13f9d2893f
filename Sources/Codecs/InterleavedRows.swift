import Kernels
import TensorCore

/// AWQ's words, `[input][output / 8]`, read as rows of codes: bytes of words are turned within the
/// cache, and each turned row of bytes holds the codes of two outputs.
public struct InterleavedRows: Sendable {
  let words: Tensor
  /// Outputs of the whole layer.
  let outputs: Int

  /// Outputs that are turned at a time: a cache line of each row of words.
  private static let strip = 128
  /// Of eight outputs, the byte of the word that holds each, and how far up in it (AWQ-1).
  private static let places: [(byte: Int, down: Int)] = [
    (0, 0), (2, 0), (0, 4), (2, 4), (1, 0), (3, 0), (1, 4), (3, 4),
  ]

  /// Calls `body` for each row of a region, counted from 0, with its codes, one byte each. Throws `io`.
  func forEach(
    of region: Region, _ workspace: Workspace, _ body: (_ row: Int, _ codes: RawSpan) throws -> Void
  ) throws {
    let inputs = region.columns.count
    let height = region.rows.count
    let run = region.rows.lowerBound / 2..<region.rows.upperBound / 2
    try workspace.lend(inputs * run.count) { stored in
      try words.readRectangle(
        into: &stored, rows: region.columns, rowBytes: outputs / 2, run: run)
      try workspace.lend(inputs) { codes in
        for start in stride(from: 0, to: height, by: Self.strip) {
          let rows = start..<min(start + Self.strip, height)
          let last = (inputs - 1) * run.count + rows.upperBound / 2
          let turned = TurnedRows(count: rows.count / 2, length: inputs, size: 1)
          try turned.lend(stored.bytes.part(start / 2..<last), stride: run.count, workspace) {
            strip in
            for row in rows {
              let (byte, down) = Self.places[row % 8]
              let bytes = turned.bytes(ofRow: (row - start) / 8 * 4 + byte)
              Bytes.extract(strip.part(bytes), down: down, mask: 15, into: &codes)
              try body(row, codes.bytes)
            }
          }
        }
      }
    }
  }
}
