/// The type that parameters and gradients are stored in; their values are handed about as f32.
public enum ParameterType: String, CaseIterable, Sendable {
  case f32, f16, bf16

  /// The nearest value of this type, ties to even.
  func rounded(_ value: Float) -> Float {
    switch self {
    case .f32: return value
    case .f16: return Float(Float16(value))
    case .bf16:
      guard !value.isNaN else { return value }
      let bits = value.bitPattern
      return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
    }
  }
}
