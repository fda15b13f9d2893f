/// A short floating-point format, read and written as its definition says.
///
/// Patterns are in the low bits of a UInt32: sign, exponent, mantissa from the top.
/// Source: IEEE 754 for f16 and bf16; the OCP 8-bit and microscaling format specifications for
/// E4M3, E5M2 and E8M0; for the FNUZ pair the format definitions of their makers.
public struct FloatFormat: Sendable {
  /// What the patterns mean that are not finite numbers.
  public enum Specials: Sendable {
    /// The highest exponent is infinity and NaN.
    case infinities
    /// Only all ones below the sign is NaN; no infinity.
    case nanAtAllOnes
    /// Only the pattern of minus zero is NaN; no infinity.
    case nanAtMinusZero
  }

  public let bits: UInt32
  public let mantissaBits: UInt32
  public let bias: Int
  public let specials: Specials

  public static let f16 = FloatFormat(bits: 16, mantissaBits: 10, bias: 15, specials: .infinities)
  public static let bf16 = FloatFormat(bits: 16, mantissaBits: 7, bias: 127, specials: .infinities)
  public static let f8e4m3 = FloatFormat(
    bits: 8, mantissaBits: 3, bias: 7, specials: .nanAtAllOnes)
  public static let f8e5m2 = FloatFormat(bits: 8, mantissaBits: 2, bias: 15, specials: .infinities)
  public static let f8e4m3fnuz = FloatFormat(
    bits: 8, mantissaBits: 3, bias: 8, specials: .nanAtMinusZero)
  public static let f8e5m2fnuz = FloatFormat(
    bits: 8, mantissaBits: 2, bias: 16, specials: .nanAtMinusZero)

  private var signBit: UInt32 { 1 << (bits - 1) }
  private var mantissaMask: UInt32 { 1 << mantissaBits - 1 }
  private var highestExponent: UInt32 { (signBit - 1) >> mantissaBits }

  /// The number that `pattern` stands for, exactly.
  public func value(_ pattern: UInt32) -> Float {
    let isNegative = pattern & signBit != 0
    let exponent = (pattern & ~signBit) >> mantissaBits
    let mantissa = pattern & mantissaMask
    if isNaN(pattern) { return nan(isNegative, mantissa) }
    if specials == .infinities && exponent == highestExponent {
      return isNegative ? -.infinity : .infinity
    }
    let significand = exponent == 0 ? mantissa : mantissa | 1 << mantissaBits
    let scale = Int(max(exponent, 1)) - bias - Int(mantissaBits)
    let magnitude = Float(sign: .plus, exponent: scale, significand: Float(significand))
    return isNegative ? -magnitude : magnitude
  }

  /// Whether `pattern` stands for no number.
  public func isNaN(_ pattern: UInt32) -> Bool {
    switch specials {
    case .infinities: pattern & ~signBit > highestExponent << mantissaBits
    case .nanAtAllOnes: pattern & ~signBit == ~signBit & (signBit << 1 - 1)
    case .nanAtMinusZero: pattern == signBit
    }
  }

  /// A quiet NaN with the sign and, at the high end, the payload of a shorter one.
  private func nan(_ isNegative: Bool, _ payload: UInt32) -> Float {
    if specials == .nanAtMinusZero { return .nan }
    let sign: UInt32 = isNegative ? 1 << 31 : 0
    return Float(bitPattern: sign | 0x7FC0_0000 | payload << (23 - mantissaBits))
  }

  /// The pattern of the number nearest to `value`, of two equally near ones the even one; infinity
  /// from half a step above the largest number on. Only for formats with infinities.
  public func pattern(_ value: Float) -> UInt32 {
    precondition(specials == .infinities)
    let sign = value.sign == .minus ? signBit : 0
    let infinity = highestExponent << mantissaBits
    if value.isNaN {
      let payload = value.bitPattern >> (23 - mantissaBits) & mantissaMask
      return sign | infinity | 1 << (mantissaBits - 1) | payload
    }
    guard value.isFinite, value != 0 else { return sign | (value == 0 ? 0 : infinity) }
    // In f64 every f32 is normal, and the number of steps is exact until it is rounded.
    let magnitude = Double(value.magnitude)
    let exponent = max(Int(magnitude.exponent), 1 - bias)
    let step = Double(sign: .plus, exponent: exponent - Int(mantissaBits), significand: 1)
    let steps = UInt32((magnitude / step).rounded(.toNearestOrEven))
    // A carry out of the mantissa adds one to the exponent, as it should.
    let below = UInt32(exponent - (1 - bias)) << mantissaBits
    return sign | min(below + steps, infinity)
  }

  /// The power of two that a byte of the exponent-only format E8M0 stands for.
  public static func valueOfE8M0(_ byte: UInt32) -> Float {
    byte == 0xFF ? .nan : Float(sign: .plus, exponent: Int(byte) - 127, significand: 1)
  }
}
