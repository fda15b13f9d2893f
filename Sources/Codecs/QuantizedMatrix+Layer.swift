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
    let zeros = try workspace.lend(parameters.count * 2) { bytes in
      try layer.readOffsets(parameters, .outputMajor, into: &bytes, workspace)
      return (0..<parameters.count).map { bytes.bytes.uint16(at: $0) }
    }
    self.init(form: form, codes: codes, scales: scales, zeros: zeros)
  }
}
