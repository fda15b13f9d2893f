@_spi(_Unicode) private import Swift
import TestKit
import Testing

@testable import Tokenizers

/// Normal forms, part by part, beside the library's answer for the whole text.
@Suite struct NormalizerTests {
  /// Scalars that compose, decompose, reorder, or do nothing.
  private static let scalars: [Unicode.Scalar] = [
    "a", "e", " ", "<", "\u{338}", "\u{301}", "\u{323}", "\u{327}", "\u{E9}", "\u{1E0B}",
    "\u{1100}",
    "\u{1161}", "\u{11A8}", "\u{AC00}", "\u{212B}", "\u{344}", "\u{9C7}", "\u{9BE}", "\u{FB01}",
    "\u{2126}", "\u{1F600}", "\u{2FF}", "\u{300}", "\u{F900}", "\u{1D15E}",
  ]

  @Test func composedInParts() throws {
    var random = SplitMix64(seed: 6)
    for _ in 0..<4000 {
      var text = String.UnicodeScalarView()
      for _ in 0..<random.next() % 12 {
        text.append(Self.scalars[Int(random.next() % UInt64(Self.scalars.count))])
      }
      let whole = String(text)
      let expected = whole._nfc.flatMap { Array($0.utf8) }
      #expect(
        try Normalizer.composed.normalized(Array(whole.utf8)) == expected, "\(text.map(\.value))")
    }
  }

  /// The table is read whole: as many scalars as the peer replaces.
  @Test func compatibilityMappings() {
    let count = (UInt32(0)..<0x110000).count {
      Unicode.Scalar($0).flatMap { CompatibilityMappings[$0] } != nil
    }
    #expect(count == 3678)
    #expect(CompatibilityMappings["\u{FDFA}"]?.count == 18)
    #expect(CompatibilityMappings["\u{1D7FF}"] == ["9"])
  }

  @Test func strips() throws {
    let text = Array("\u{3000} a b\t\n".utf8)
    #expect(
      try Normalizer.strip(left: true, right: false).normalized(text) == Array("a b\t\n".utf8))
    #expect(
      try Normalizer.strip(left: false, right: true).normalized(text) == Array("\u{3000} a b".utf8))
    #expect(try Normalizer.strip(left: true, right: true).normalized(Array(" \t".utf8)).isEmpty)
  }

  @Test func prependsNothingToNothing() throws {
    #expect(try Normalizer.prepend([1]).normalized([]).isEmpty)
    #expect(try Normalizer.prepend([1]).normalized([2]) == [1, 2])
  }
}
