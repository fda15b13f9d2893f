import Kernels
internal import TensorCore

/// AWQ's words, `[input][output / 8]`, read as rows of codes: strips of outputs are unpacked and turned
/// within the cache, so that no band of codes is ever written to memory.
public struct InterleavedRows: Sendable {
  let words: Tensor
  /// Outputs of the whole layer.
  let outputs: Int

  private static let strip = 64

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
      try workspace.lend(inputs * Self.strip) { turned in
        for start in stride(from: 0, to: height, by: Self.strip) {
          let rows = start..<min(start + Self.strip, height)
          var strip = turned.part(0..<inputs * rows.count)
          unpack(stored.bytes, rowBytes: run.count, inputs: inputs, rows, into: &strip, workspace)
          for (position, row) in rows.enumerated() {
            try body(row, strip.bytes.part(position * inputs..<(position + 1) * inputs))
          }
        }
      }
    }
  }

  /// The codes of some outputs, `[output][input]`.
  private func unpack(
    _ stored: RawSpan, rowBytes: Int, inputs: Int, _ rows: Range<Int>,
    into turned: inout MutableRawSpan, _ workspace: Workspace
  ) {
    let width = rows.count / 2
    workspace.lend(inputs * width) { words in
      for input in 0..<inputs {
        let start = input * rowBytes + rows.lowerBound / 2
        var line = words.part(input * width..<(input + 1) * width)
        line.copy(from: stored.part(start..<start + width))
      }
      workspace.lend(inputs * rows.count) { codes in
        InterleavedWords.unpack(words.bytes, into: &codes)
        Transpose.bytes(codes.bytes, rows: inputs, columns: rows.count, into: &turned)
      }
    }
  }
}
