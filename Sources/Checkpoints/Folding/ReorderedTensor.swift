import Codecs
import Kernels
import TensorCore

/// A dense tensor with what lies along one of its axes in another order: the outputs of a linear layer, which are
/// the rows of most weights and the columns of those stored as `[inputs, outputs]`.
struct ReorderedTensor: Sendable {
  let source: Tensor
  let order: Permutation
  /// 0 for rows and vectors, 1 for the columns of a matrix.
  var axis = 0

  /// The tensor to write. Throws `cannotRepresent` where it would be too large.
  func part() throws -> EncodedPart {
    try EncodedPart(source.name, source.dtype, source.shape.dimensions) { rows, bytes, workspace in
      try read(rows, into: &bytes, workspace)
    }
  }

  /// The same numbers of another tensor put back.
  func restoring(_ other: Tensor) -> ReorderedTensor {
    ReorderedTensor(source: other, order: order.inverse, axis: axis)
  }

  /// Rows of a matrix are read one by one; a vector whole.
  func read(
    _ rows: Range<Int>, into bytes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    let size = source.byteCount / max(source.shape[0], 1)
    if axis == 1 { return try readColumns(rows, size, into: &bytes, workspace) }
    guard source.shape.rank == 1 else {
      for (position, row) in order.sources[rows].enumerated() {
        var part = bytes.part(position * size..<(position + 1) * size)
        try source.read(into: &part, at: Int(row) * size)
      }
      return
    }
    let vector = try source.contents()
    Self.gather(order.sources[rows], of: vector.bytes, size: size, into: &bytes)
  }

  /// Rows of `size` bytes, each with its numbers moved.
  private func readColumns(
    _ rows: Range<Int>, _ size: Int, into bytes: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(rows.count * size) { stored in
      try source.read(into: &stored, at: rows.lowerBound * size)
      for row in 0..<rows.count {
        let place = row * size..<(row + 1) * size
        var part = bytes.part(place)
        Self.gather(
          order.sources[...], of: stored.bytes.part(place), size: source.dtype.bits / 8, into: &part
        )
      }
    }
  }

  /// Elements of `size` bytes by their places.
  private static func gather(
    _ places: ArraySlice<Int32>, of stored: RawSpan, size: Int, into bytes: inout MutableRawSpan
  ) {
    for (position, place) in places.enumerated() {
      var part = bytes.part(position * size..<(position + 1) * size)
      part.copy(from: stored.part(Int(place) * size..<(Int(place) + 1) * size))
    }
  }
}
