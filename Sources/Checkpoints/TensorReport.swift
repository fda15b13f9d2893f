public import Kernels
public import TensorCore

/// The numbers of one dense tensor, summed up.
public struct TensorReport: Sendable {
  public let info: TensorInfo
  /// Statistics of the values; nil for types that are not read as real numbers.
  public let values: FloatStatistics?
  /// The first values.
  public let first: [Float]

  /// Reads the whole tensor in bands. Throws `io`.
  public init(_ tensor: Tensor, first count: Int = 8) throws {
    info = tensor.info
    guard FloatConversion.readable.contains(tensor.dtype) else {
      values = nil
      first = []
      return
    }
    let size = tensor.dtype.bits / 8
    let step = (1 << 20) / size
    let workspace = Workspace()
    var values = FloatStatistics()
    var first: [Float] = []
    for start in stride(from: 0, to: tensor.shape.count, by: step) {
      let elements = min(step, tensor.shape.count - start)
      try workspace.lend(elements * size) { stored in
        try tensor.read(into: &stored, at: start * size)
        try workspace.lend(elements * 4) { floats in
          try FloatConversion.toFloat32(tensor.dtype, stored.bytes, into: &floats)
          values.merge(FloatStatistics(floats.bytes))
          if start == 0 {
            first = (0..<min(count, elements)).map { floats.bytes.float32(at: $0) }
          }
        }
      }
    }
    self.values = values
    self.first = first
  }
}
