public import Kernels
import TensorCore

extension QuantizedMatrix {
  /// Reads a whole layer into memory, output-major. For quantizers, tests and small layers; O(rows
  /// × columns) memory. Throws `io`.
  public init(_ layer: any PackedLayer) throws {
    let workspace = Workspace()
    let form = layer.form
    let all = Region(rows: 0..<form.rows, columns: 0..<form.columns)
    let parameters = Region(rows: 0..<form.rows, columns: 0..<form.groups)
    let codes = try workspace.lend(all.count) { bytes in
      try layer.readCodes(all, .outputMajor, into: &bytes, workspace)
      return bytes.bytes.array
    }
    let scales = try workspace.lend(parameters.count * 4) { bytes in
      try layer.readFloatScales(parameters, .outputMajor, into: &bytes, workspace)
      return (0..<parameters.count).map { bytes.bytes.float32(at: $0) }
    }
    let offsets = try workspace.lend(parameters.count * form.offset.byteCount) { bytes in
      try layer.readOffsets(parameters, .outputMajor, into: &bytes, workspace)
      return try form.offset.values(bytes.bytes)
    }
    self.init(
      form: form, codes: codes, scales: scales, zeros: offsets.whole, offsets: offsets.real)
  }
}

extension Offset {
  /// Offsets as layers hand them out, in numbers.
  fileprivate func values(_ bytes: RawSpan) throws -> (whole: [UInt16], real: [Float]) {
    switch self {
    case .none: return ([], [])
    case .integer: return ((0..<bytes.byteCount / 2).map { bytes.uint16(at: $0) }, [])
    case .real(let type), .added(let type):
      let count = bytes.byteCount * 8 / type.bits
      let workspace = Workspace()
      return try workspace.lend(count * 4) { floats in
        try FloatConversion.toFloat32(type, bytes, into: &floats)
        return ([], (0..<count).map { floats.bytes.float32(at: $0) })
      }
    }
  }
}
