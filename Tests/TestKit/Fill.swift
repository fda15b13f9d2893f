/// A way to fill an array so that faults show.
public enum Fill: Sendable, CaseIterable {
  case low
  case high
  case alternating
  case random

  /// `count` bytes of this kind, the random ones drawn from `generator`.
  public func bytes(_ count: Int, from generator: inout SplitMix64) -> [UInt8] {
    switch self {
    case .low: [UInt8](repeating: 0, count: count)
    case .high: [UInt8](repeating: 0xFF, count: count)
    case .alternating: (0..<count).map { $0 % 2 == 0 ? 0x55 : 0xAA }
    case .random: generator.bytes(count)
    }
  }
}

/// f32 values at which arithmetic and conversions go wrong first.
public let difficultFloats: [Float] = {
  let positive: [Float] = [
    0, 1, 1.5, 2, 0.1, 255, 65504, 65519.996, 65520, 65536, .leastNonzeroMagnitude,
    .leastNormalMagnitude, .leastNormalMagnitude.nextDown, .greatestFiniteMagnitude, .infinity,
    .nan, Float(bitPattern: 0x7F80_0001), Float(bitPattern: 0x7FFF_FFFF), 0x1p-24, 0x1p-25,
    Float(0x1p-25).nextUp, 0x1.8p-24, 0x1p-14, Float(0x1p-14).nextDown, 0x1.004p0, 0x1.00cp0,
    0x1.01p0, 0x1.03p0, 0x1.fep127, 0x1.ffp127,
  ]
  return positive + positive.map { -$0 }
}()

/// `count` values: the difficult ones, then random patterns of any kind.
public func difficultFloats(_ count: Int, from generator: inout SplitMix64) -> [Float] {
  (0..<count).map { _ in
    Bool.random(using: &generator)
      ? difficultFloats.randomElement(using: &generator) ?? 0
      : Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
  }
}
