internal import Kernels
internal import TensorCore

/// Reads runs of a dense weight as float32, a tile at a time so that what is read stays in the cache.
struct WeightReader: Sendable {
  /// Numbers of a tile: a multiple of every block size.
  static let tile = 4096

  let weight: Tensor
  let allowsNonFinite: Bool

  var count: Int { weight.byteCount * 8 / weight.dtype.bits }

  /// Calls `body` with each tile of a run of numbers: where it begins within the run, and its values.
  func read(
    _ run: Range<Int>, _ workspace: Workspace,
    _ body: (_ start: Int, _ values: RawSpan) throws -> Void
  ) throws {
    let size = weight.dtype.bits / 8
    for start in stride(from: run.lowerBound, to: run.upperBound, by: Self.tile * 4) {
      let part = start..<min(start + Self.tile * 4, run.upperBound)
      try workspace.lend(part.count * size) { stored in
        try weight.read(into: &stored, at: part.lowerBound * size)
        for tile in stride(from: 0, to: part.count, by: Self.tile) {
          let range = tile..<min(tile + Self.tile, part.count)
          let bytes = stored.bytes.part(range.lowerBound * size..<range.upperBound * size)
          try widen(bytes, workspace) { try body(start - run.lowerBound + tile, $0) }
        }
      }
    }
  }

  private func widen(
    _ stored: RawSpan, _ workspace: Workspace, _ body: (RawSpan) throws -> Void
  ) throws {
    guard weight.dtype != .f32 else { return try body(stored) }
    try workspace.lend(stored.byteCount * 32 / weight.dtype.bits) { values in
      try FloatConversion.toFloat32(weight.dtype, stored, into: &values)
      try body(values.bytes)
    }
  }

  /// Throws `cannotRepresent` naming the first infinity or NaN of a run; nothing where those are
  /// allowed.
  func refuse(_ run: Range<Int>, _ workspace: Workspace) throws {
    if allowsNonFinite { return }
    try read(run, workspace) { start, values in
      for index in 0..<values.byteCount / 4 where !values.float32(at: index).isFinite {
        let position = run.lowerBound + start + index
        let columns = weight.shape.dimensions.last ?? 1
        throw Failure(
          .cannotRepresent, at: weight.place, "a weight is not finite",
          expected: "finite numbers",
          found: "\(values.float32(at: index)) at [\(position / columns), \(position % columns)]",
          rule: "BNB-48", remedy: "--allow-nonfinite takes it as it comes")
      }
    }
  }
}
