import Codecs
import Kernels
import TensorCore

/// A dense tensor with zeros behind its rows, or behind its columns.
struct PaddedTensor: Sendable {
  let source: Tensor
  let shape: [Int]
  /// The order of the rows that are there; nil where they stay.
  let order: Permutation?

  /// The tensor to write. Throws `cannotRepresent` where it would be too large.
  func part() throws -> EncodedPart {
    try EncodedPart(source.name, source.dtype, shape) { rows, bytes, workspace in
      try read(rows, into: &bytes, workspace)
    }
  }

  private func read(
    _ rows: Range<Int>, into bytes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    for index in 0..<bytes.byteCount { bytes.set(UInt8(0), at: index) }
    let stored = source.byteCount / source.shape[0]
    let padded = bytes.byteCount / rows.count
    let known = rows.clamped(to: 0..<source.shape[0])
    if stored == padded {
      var part = bytes.part(0..<known.count * stored)
      if let order {
        return try ReorderedTensor(source: source, order: order).read(known, into: &part, workspace)
      }
      return try source.read(into: &part, at: known.lowerBound * stored)
    }
    for (position, row) in known.enumerated() {
      var part = bytes.part(position * padded..<position * padded + stored)
      try source.read(into: &part, at: (order.map { Int($0.sources[row]) } ?? row) * stored)
    }
  }
}
