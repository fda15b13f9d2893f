import Codecs
import Kernels
import TensorCore

/// A dense tensor with its rows in another order.
struct ReorderedTensor: Sendable {
  let source: Tensor
  let rows: Permutation

  /// The tensor to write. Throws `cannotRepresent` where it would be too large.
  func part() throws -> EncodedPart {
    try EncodedPart(source.name, source.dtype, source.shape.dimensions) { rows, bytes, _ in
      try read(rows, into: &bytes)
    }
  }

  /// Rows of a matrix are read one by one; a vector whole.
  func read(_ rows: Range<Int>, into bytes: inout MutableRawSpan) throws {
    let size = source.byteCount / max(source.shape[0], 1)
    guard source.shape.rank == 1 else {
      for (position, row) in self.rows.sources[rows].enumerated() {
        var part = bytes.part(position * size..<(position + 1) * size)
        try source.read(into: &part, at: Int(row) * size)
      }
      return
    }
    let vector = try source.contents()
    for (position, row) in self.rows.sources[rows].enumerated() {
      var part = bytes.part(position * size..<(position + 1) * size)
      part.copy(from: vector.bytes.part(Int(row) * size..<(Int(row) + 1) * size))
    }
  }
}
