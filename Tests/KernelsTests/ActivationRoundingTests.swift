import Testing

@testable import Kernels

/// Inputs of linear layers rounded to the values of their codes.
@Suite struct ActivationRoundingTests {
  /// Numbers of torch: `(x / s).to(float8_e4m3fn).float() * s`.
  @Test func roundingIsTorchs() {
    let input: [Float] = [0.1, -1.7, 3.3, 0.004, 12.5, -0.25, 0, 7.7]
    let plain = ActivationRule.dynamicFP8(group: 4).rounded(input, columns: 8)
    #expect(plain == Self.plain)
    let powers = ActivationRule.dynamicFP8(group: 4, powersOfTwo: true).rounded(input, columns: 8)
    #expect(powers == Self.powers)
  }

  private static let plain: [Float] = [
    0.103125, -1.65, 3.3, 0.004143415, 12.5, -0.25111607, 0.0, 8.035714,
  ]
  private static let powers: [Float] = [
    0.1015625, -1.75, 3.25, 0.00390625, 12.0, -0.25, 0.0, 7.5,
  ]
}
