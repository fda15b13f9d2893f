/// An 8-bit floating-point format, decoded as its definition reads.
///
/// Source: the OCP 8-bit and microscaling format specifications; the FNUZ pair: Graphcore and AMD.
struct Float8: Sendable {
  /// What the patterns mean that are not numbers.
  enum Specials {
    /// As IEEE: the highest exponent is infinity and NaN.
    case infinities
    /// Only all ones below the sign is NaN; no infinity.
    case nanAtAllOnes
    /// Only the pattern of minus zero is NaN; no infinity.
    case nanAtMinusZero
  }

  let mantissaBits: Int
  let bias: Int
  let specials: Specials

  static let e4m3 = Float8(mantissaBits: 3, bias: 7, specials: .nanAtAllOnes)
  static let e5m2 = Float8(mantissaBits: 2, bias: 15, specials: .infinities)
  static let e4m3fnuz = Float8(mantissaBits: 3, bias: 8, specials: .nanAtMinusZero)
  static let e5m2fnuz = Float8(mantissaBits: 2, bias: 16, specials: .nanAtMinusZero)

  /// The number that `byte` stands for.
  func value(_ byte: UInt8) -> Float {
    let mantissa = Int(byte) & (1 << mantissaBits - 1)
    let exponent = Int(byte & 0x7F) >> mantissaBits
    if let special = special(byte, exponent, mantissa) { return special }
    let significand = exponent == 0 ? mantissa : mantissa + 1 << mantissaBits
    let magnitude = Float(
      sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: Float(significand)
    )
    return byte & 0x80 == 0 ? magnitude : -magnitude
  }

  private func special(_ byte: UInt8, _ exponent: Int, _ mantissa: Int) -> Float? {
    switch specials {
    case .infinities where exponent == 0x7F >> mantissaBits && mantissa == 0:
      byte & 0x80 == 0 ? .infinity : -.infinity
    case .infinities where exponent == 0x7F >> mantissaBits,
      .nanAtAllOnes where byte & 0x7F == 0x7F:
      Float(bitPattern: quietNaN(sign: UInt32(byte >> 7), payload: UInt32(mantissa)))
    case .nanAtMinusZero where byte == 0x80: .nan
    default: nil
    }
  }

  /// A NaN with the sign and, at the high end, the payload of a shorter one.
  private func quietNaN(sign: UInt32, payload: UInt32) -> UInt32 {
    sign << 31 | 0x7FC0_0000 | payload << (23 - UInt32(mantissaBits))
  }

  /// The power of two that a byte of the exponent-only format E8M0 stands for.
  static func e8m0(_ byte: UInt8) -> Float {
    byte == 0xFF ? .nan : Float(sign: .plus, exponent: Int(byte) - 127, significand: 1)
  }
}
