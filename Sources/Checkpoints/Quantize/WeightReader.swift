internal import Kernels
internal import TensorCore

/// Reads runs of a dense weight as they are stored, a tile at a time so that what is read stays in
/// the cache.
struct WeightReader: Sendable {
  /// Numbers of a tile: a multiple of every block size, and at most half of a first-level cache.
  private static let tile = 4096
  /// Bytes of one call to the system: long enough that it costs nothing, and half of a second-level
  /// cache.
  private static let readBytes = 1 << 17

  let weight: Tensor
  let allowsNonFinite: Bool

  var type: DType { weight.dtype }
  var size: Int { type.bits / 8 }
  var count: Int { weight.byteCount / size }

  /// Calls `body` with each tile of a run of numbers: where it begins within the run, and its bytes.
  func read(
    _ run: Range<Int>, _ workspace: Workspace,
    _ body: (_ start: Int, _ stored: RawSpan) throws -> Void
  ) throws {
    let step = Self.readBytes / size
    try workspace.lend(min(step, run.count) * size) { stored in
      for start in stride(from: run.lowerBound, to: run.upperBound, by: step) {
        let count = min(step, run.upperBound - start)
        var part = stored.part(0..<count * size)
        try weight.read(into: &part, at: start * size)
        for tile in stride(from: 0, to: count, by: Self.tile) {
          let end = min(tile + Self.tile, count)
          try body(start - run.lowerBound + tile, stored.bytes.part(tile * size..<end * size))
        }
      }
    }
  }

  /// Throws `cannotRepresent` naming the first infinity or NaN of a run; nothing where those are
  /// allowed.
  func refuse(_ run: Range<Int>, _ workspace: Workspace) throws {
    if allowsNonFinite { return }
    try read(run, workspace) { start, stored in
      try workspace.lend(stored.byteCount / size * 4) { values in
        try FloatConversion.toFloat32(type, stored, into: &values)
        try refuse(values.bytes, from: run.lowerBound + start)
      }
    }
  }

  private func refuse(_ values: RawSpan, from start: Int) throws {
    for index in 0..<values.byteCount / 4 where !values.float32(at: index).isFinite {
      let position = start + index
      let columns = weight.shape.dimensions.last ?? 1
      throw Failure(
        .cannotRepresent, at: weight.place, "a weight is not finite",
        expected: "finite numbers",
        found: "\(values.float32(at: index)) at [\(position / columns), \(position % columns)]",
        rule: "BNB-48", remedy: "--allow-nonfinite takes it as it comes")
    }
  }
}
