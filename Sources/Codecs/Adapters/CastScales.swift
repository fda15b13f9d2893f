public import Kernels
public import TensorCore

/// A layer whose scales are handed out in another type that holds every one of them exactly.
public struct CastScales: LayerAdapter {
  public let base: any PackedLayer
  public let form: QuantizedForm

  /// nil where a scale would change. Reads all scales. Throws `io`.
  public init?(_ base: any PackedLayer, to type: DType, _ workspace: Workspace) throws {
    var form = base.form
    form.scaleType = type
    self.base = base
    self.form = form
    guard try isExact(workspace) else { return nil }
  }

  private func isExact(_ workspace: Workspace) throws -> Bool {
    let step = max(1, (1 << 19) / form.rows)
    for start in stride(from: 0, to: form.groups, by: step) {
      let region = Region(
        rows: 0..<form.rows, columns: start..<min(start + step, form.groups))
      let differences = try workspace.lend(region.count * 4) { stored in
        try base.readFloatScales(region, .inputMajor, into: &stored, workspace)
        return try workspace.lend(region.count * 4) { cast in
          try readFloatScales(region, .inputMajor, into: &cast, workspace)
          return Bytes.countDifferences(stored.bytes, cast.bytes)
        }
      }
      if differences > 0 { return false }
    }
    return true
  }

  public func readScales(
    _ region: Region, _ order: Order, into scales: inout MutableRawSpan, _ workspace: Workspace
  ) throws {
    try workspace.lend(region.count * 4) { floats in
      try base.readFloatScales(region, order, into: &floats, workspace)
      try FloatConversion.fromFloat32(form.scaleType, floats.bytes, into: &scales)
    }
  }
}
