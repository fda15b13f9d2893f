import CKernels

/// Codes in one long little-endian bit stream: code i is in bits [bits·i, bits·i + bits).
///
/// This is the order of compressed-tensors, MLX and AWQ GEMV rows. Codes are one byte each.
public enum BitStream {
  /// The bytes that `count` codes of `bits` bits take, the last one possibly in part.
  public static func byteCount(bits: Int, count: Int) -> Int {
    precondition((1...8).contains(bits) && count >= 0)
    // In eighths, so that no count of codes in memory overflows.
    return count / 8 * bits + (count % 8 * bits + 7) / 8
  }

  /// Reads as many codes as fit in `codes` from the start of `words`. O(codes).
  ///
  /// Traps if `bits` is not in 1...8 or `words` is too short.
  public static func unpack(
    bits: Int, _ words: RawSpan, into codes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(words.byteCount >= byteCount(bits: bits, count: count))
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(words, &codes) {
      unsafe level.kernels.pointee.stream_unpack(UInt32(bits), $0, $1, count)
    }
  }

  /// Writes the low `bits` bits of each code to the start of `words`, fills the last byte begun
  /// with zero bits and leaves further bytes alone. O(codes).
  ///
  /// Traps if `bits` is not in 1...8 or `words` is too short.
  public static func pack(
    bits: Int, _ codes: RawSpan, into words: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let count = codes.byteCount
    precondition(words.byteCount >= byteCount(bits: bits, count: count))
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, &words) {
      unsafe level.kernels.pointee.stream_pack(UInt32(bits), $0, $1, count)
    }
  }
}

/// Codes that run down the rows of a matrix of 32-bit words: each column is one bit stream.
///
/// Words are [rows][columns], codes [rows · 32 / bits][columns], one byte each, both row-major.
/// This is the order of GPTQ's `qweight`.
public enum WordRows {
  /// The least number of word rows that hold whole codes: 3 for 3 and 6 bits, 5 for 5 bits, 7
  /// for 7 bits, otherwise 1. Matrices have a multiple of it.
  public static func unit(bits: Int) -> Int {
    precondition((1...8).contains(bits))
    return bits >> bits.trailingZeroBitCount
  }

  /// Splits words into codes. O(codes).
  ///
  /// Traps if the lengths do not fit each other or the rows are not a multiple of the unit.
  public static func unpack(
    bits: Int, _ words: RawSpan, columns: Int, into codes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let rows = checkedRows(bits, words.byteCount, columns, codes.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(words, &codes) {
      unsafe level.kernels.pointee.rows_unpack(UInt32(bits), $0, $1, rows, columns)
    }
  }

  /// Gathers the low `bits` bits of each code into words. O(codes).
  ///
  /// Traps if the lengths do not fit each other or the rows are not a multiple of the unit.
  public static func pack(
    bits: Int, _ codes: RawSpan, columns: Int, into words: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let rows = checkedRows(bits, words.byteCount, columns, codes.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, &words) {
      unsafe level.kernels.pointee.rows_pack(UInt32(bits), $0, $1, rows, columns)
    }
  }

  private static func checkedRows(
    _ bits: Int, _ wordBytes: Int, _ columns: Int, _ codeBytes: Int
  ) -> Int {
    precondition(columns > 0 || (columns == 0 && wordBytes == 0 && codeBytes == 0))
    guard columns > 0 else { return 0 }
    precondition(wordBytes % 4 == 0 && wordBytes / 4 % columns == 0)
    let rows = wordBytes / 4 / columns
    precondition(rows % unit(bits: bits) == 0)
    precondition(codeBytes == rows * 32 / bits * columns)
    return rows
  }
}

/// Eight 4-bit codes in each 32-bit word, interleaved as in AWQ GEMM: nibble i holds code
/// [0, 2, 4, 6, 1, 3, 5, 7][i] of the eight.
public enum InterleavedWords {
  /// Splits words into eight codes each, one byte each. O(codes). Traps if the lengths do not fit.
  public static func unpack(
    _ words: RawSpan, into codes: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = checkedCount(words.byteCount, codes.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(words, &codes) {
      unsafe level.kernels.pointee.interleaved_unpack($0, $1, count)
    }
  }

  /// Gathers the low nibbles of codes into words. O(codes). Traps if the lengths do not fit.
  public static func pack(
    _ codes: RawSpan, into words: inout MutableRawSpan, on level: Processor.Level = .best
  ) {
    let count = checkedCount(words.byteCount, codes.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, &words) {
      unsafe level.kernels.pointee.interleaved_pack($0, $1, count)
    }
  }

  private static func checkedCount(_ wordBytes: Int, _ codeBytes: Int) -> Int {
    precondition(wordBytes % 4 == 0 && codeBytes == wordBytes * 2)
    return wordBytes / 4
  }
}

/// Four rows of 4-bit codes interleaved in 16-bit words, as in AWQ GEMV_FAST.
///
/// Words are [rows / 4][columns], codes [rows][columns], one byte each. 64 columns of four rows
/// are 64 words, 16 for each row; in the eight words of 32 columns nibble i of word j is code
/// 8·i + j.
public enum QuadRows {
  /// Columns of one block.
  public static let block = 64

  /// Splits words into codes. O(codes).
  ///
  /// Traps if the lengths do not fit each other or `columns` is no multiple of 64.
  public static func unpack(
    _ words: RawSpan, columns: Int, into codes: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let quads = checkedQuads(words.byteCount, columns, codes.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(words, &codes) {
      unsafe level.kernels.pointee.quads_unpack($0, $1, quads, columns)
    }
  }

  /// Gathers the low nibbles of codes into words. O(codes).
  ///
  /// Traps if the lengths do not fit each other or `columns` is no multiple of 64.
  public static func pack(
    _ codes: RawSpan, columns: Int, into words: inout MutableRawSpan,
    on level: Processor.Level = .best
  ) {
    let quads = checkedQuads(words.byteCount, columns, codes.byteCount)
    // SAFETY: the lengths are as the kernel demands.
    unsafe lend(codes, &words) {
      unsafe level.kernels.pointee.quads_pack($0, $1, quads, columns)
    }
  }

  private static func checkedQuads(_ wordBytes: Int, _ columns: Int, _ codeBytes: Int) -> Int {
    precondition(columns >= 0 && columns % block == 0 && codeBytes == wordBytes * 2)
    guard columns > 0 else {
      precondition(codeBytes == 0)
      return 0
    }
    precondition(wordBytes % (columns * 2) == 0)
    return wordBytes / (columns * 2)
  }
}
