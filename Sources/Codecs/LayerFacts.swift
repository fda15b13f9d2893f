public import Kernels
internal import TensorCore

/// What a target must know of a layer's numbers before it can promise to hold them.
public struct LayerFacts: Sendable {
  public let name: String
  public let form: QuantizedForm
  /// The smallest and largest zero point; nil where the offsets are no whole numbers.
  public let zeros: ClosedRange<Int>?
  /// Zero-point fields whose meaning is not settled.
  public let ambiguous: Int

  public init(name: String, form: QuantizedForm, zeros: ClosedRange<Int>?, ambiguous: Int) {
    self.name = name
    self.form = form
    self.zeros = zeros
    self.ambiguous = ambiguous
  }

  /// Whether every zero point is the middle of the code range.
  public var isSymmetric: Bool {
    let middle = 1 << (form.grid.bits - 1)
    return zeros == middle...middle
  }

  /// Reads all zero points of a layer: 1/group_size of its numbers. Throws `io`.
  public init(of layer: any PackedLayer, _ workspace: Workspace) throws {
    guard layer.form.offset == .integer else {
      self.init(name: layer.name, form: layer.form, zeros: nil, ambiguous: 0)
      return
    }
    var low = Int.max
    var high = Int.min
    try layer.forEachOffsetBand(workspace) { offsets in
      for position in 0..<offsets.byteCount / 2 {
        let zero = Int(offsets.uint16(at: position))
        low = min(low, zero)
        high = max(high, zero)
      }
    }
    self.init(
      name: layer.name, form: layer.form, zeros: low <= high ? low...high : 0...0,
      ambiguous: try layer.countAmbiguousOffsets(workspace))
  }
}

extension PackedLayer {
  /// Offsets of the whole layer, a band of groups at a time, input-major.
  public func forEachOffsetBand(
    _ workspace: Workspace, _ body: (RawSpan) throws -> Void
  ) throws {
    let step = max(1, (1 << 19) / max(form.rows, 1))
    for start in stride(from: 0, to: form.groups, by: step) {
      let region = Region(rows: 0..<form.rows, columns: start..<min(start + step, form.groups))
      try workspace.lend(region.count * form.offset.byteCount) { offsets in
        try readOffsets(region, .inputMajor, into: &offsets, workspace)
        try body(offsets.bytes)
      }
    }
  }
}
