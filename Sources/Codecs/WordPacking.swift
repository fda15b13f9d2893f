import Kernels
import TensorCore

/// How codes fill 32-bit words along a row (`Formats/compressed-tensors.md`, CT-2).
enum WordPacking: Sendable {
  /// One little-endian bit stream, the last word filled with zero bits.
  case stream
  /// As many whole codes as fit a word, the rest of its bits unused: how versions before 0.17
  /// packed 3, 5, 6 and 7 bits.
  case words

  /// The words that `count` codes take; nil on overflow.
  func words(_ count: Int, bits: Int) -> Int? {
    switch self {
    case .stream: count.multiplied(by: bits)?.dividedRoundingUp(by: 32)
    case .words: count.dividedRoundingUp(by: 32 / bits)
    }
  }

  /// The words that hold the codes `codes`, which begin on a multiple of 32.
  func words(of codes: Range<Int>, bits: Int) -> Range<Int> {
    switch self {
    case .stream:
      codes.lowerBound / 32 * bits..<(codes.upperBound * bits).dividedRoundingUp(by: 32)
    case .words:
      codes.lowerBound / (32 / bits)..<codes.upperBound.dividedRoundingUp(by: 32 / bits)
    }
  }

  /// Splits rows of the words that hold `codes` into one byte a code, `[row][code]`.
  func unpack(
    bits: Int, _ words: RawSpan, rows: Int, codes: Range<Int>, into bytes: inout MutableRawSpan
  ) {
    let rowBytes = self.words(of: codes, bits: bits).count * 4
    if case .stream = self, rowBytes * 8 == codes.count * bits {
      return BitStream.unpack(bits: bits, words, into: &bytes)
    }
    for row in 0..<rows {
      let source = words.part(row * rowBytes..<(row + 1) * rowBytes)
      var target = bytes.part(row * codes.count..<(row + 1) * codes.count)
      switch self {
      case .stream: BitStream.unpack(bits: bits, source, into: &target)
      case .words: Self.unpackWords(bits: bits, source, codes, into: &target)
      }
    }
  }

  private static func unpackWords(
    bits: Int, _ words: RawSpan, _ codes: Range<Int>, into bytes: inout MutableRawSpan
  ) {
    let perWord = 32 / bits
    let first = codes.lowerBound / perWord
    let mask = UInt32(1 << bits - 1)
    for (position, code) in codes.enumerated() {
      let word = words.uint32(at: code / perWord - first)
      bytes.set(UInt8(word >> UInt32(code % perWord * bits) & mask), at: position)
    }
  }

  /// Gathers rows of codes, one byte each, into rows of whole words: always one bit stream a row.
  static func pack(
    bits: Int, _ codes: RawSpan, rows: Int, into words: inout MutableRawSpan
  ) {
    guard rows > 0 else { return }
    let (count, rowBytes) = (codes.byteCount / rows, words.byteCount / rows)
    if rowBytes * 8 == count * bits {
      return BitStream.pack(bits: bits, codes, into: &words)
    }
    let used = BitStream.byteCount(bits: bits, count: count)
    for row in 0..<rows {
      var target = words.part(row * rowBytes..<(row + 1) * rowBytes)
      for byte in used..<rowBytes { target.set(UInt8(0), at: byte) }
      BitStream.pack(bits: bits, codes.part(row * count..<(row + 1) * count), into: &target)
    }
  }
}
