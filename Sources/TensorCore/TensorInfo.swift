/// Name, element type and shape of one tensor, and the bytes they imply.
public struct TensorInfo: Hashable, Sendable {
  public let name: String
  public let dtype: DType
  public let shape: Shape
  public let byteCount: Int

  /// nil where the bytes overflow or are not whole.
  public init?(name: String, dtype: DType, shape: Shape) {
    guard let byteCount = shape.byteCount(dtype) else { return nil }
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.byteCount = byteCount
  }
}

extension TensorInfo: CustomStringConvertible {
  public var description: String { "\"\(name.escapedForDisplay)\" \(dtype) \(shape)" }
}
