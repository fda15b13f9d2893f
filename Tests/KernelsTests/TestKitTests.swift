import TensorCore
import TestKit
import Testing

/// The tools of the tests notice what they are there to notice.
@Suite("Deliberate breaks")
struct TestKitTests {
  @Test("one flipped bit of a byte is noticed, wherever it is")
  func flippedByte() {
    let bytes = [UInt8](repeating: 0x5A, count: 33)
    #expect(mismatch(bytes, bytes) == nil)
    for index in bytes.indices {
      for bit in 0..<8 {
        var broken = bytes
        broken[index] ^= 1 << UInt8(bit)
        #expect(mismatch(broken, bytes)?.hasPrefix("[\(index)]") == true)
      }
    }
    #expect(mismatch(Array(bytes.dropLast()), bytes) != nil)
  }

  @Test("one flipped bit of a float is noticed, by every rule")
  func flippedFloat() {
    let floats: [Float] = [1, -0.0, 2]
    for rule in [FloatRule.sameBits, .sameBitsOrNaN] {
      #expect(mismatch(floats, floats, by: rule) == nil)
      #expect(mismatch([1, 0, 2], floats, by: rule) != nil)
      #expect(mismatch([Float(1).nextUp, -0.0, 2], floats, by: rule) != nil)
      #expect(mismatch([.nan, -0.0, 2], floats, by: rule) != nil)
    }
    #expect(mismatch([1, 0, 2.25], floats, by: .within(0.25)) == nil)
    #expect(mismatch([1, 0, 2.5], floats, by: .within(0.25)) != nil)
  }

  @Test("NaN and infinity are near nothing")
  func nan() {
    #expect(mismatch([Float.nan], [Float.nan], by: .within(.infinity)) != nil)
    #expect(mismatch([Float.nan], [1], by: .within(.infinity)) != nil)
    #expect(mismatch([1], [Float.nan], by: .within(.infinity)) != nil)
    #expect(mismatch([Float.infinity], [.infinity], by: .within(1)) != nil)
    #expect(mismatch([Float.nan], [-Float.nan], by: .sameBits) != nil)
    #expect(mismatch([Float.nan], [-Float.nan], by: .sameBitsOrNaN) == nil)
    #expect(mismatch([Float.nan], [1], by: .sameBitsOrNaN) != nil)
  }

  @Test("a fence hands over what it was given, and sees writes before the target")
  func fence() {
    let copied = fenced([1, 2, 3], count: 3) { source, target in target.copy(from: source) }
    #expect(copied == [1, 2, 3])
    let early = fenced([], count: 3) { _, target in
      // SAFETY: deliberately one byte before the target, in the guard that belongs to it.
      unsafe target.withUnsafeMutableBytes { bytes in
        guard let start = bytes.baseAddress else { return }
        unsafe (start - 1).storeBytes(of: 0, as: UInt8.self)
      }
    }
    #expect(early == nil)
  }

  @Test("a seed gives the same numbers again, and prints as code")
  func seeds() {
    var (a, b) = (SplitMix64(seed: 42), SplitMix64(seed: 42))
    #expect((0..<10).map { _ in a.next() } == (0..<10).map { _ in b.next() })
    #expect("\(a)" == "SplitMix64(seed: 0x2a)")
    var zero = SplitMix64(seed: 0)
    #expect(zero.next() == 0xE220_A839_7B1D_CDAF)
  }
}
