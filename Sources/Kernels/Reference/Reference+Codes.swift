extension Reference {
  /// The `count` codes of a stream: code i is in bits [bits·i, bits·i + bits).
  public static func unpackStream(bits: Int, _ stream: [UInt8], count: Int) -> [UInt8] {
    (0..<count).map { code in
      (0..<bits).reduce(0) { $0 | bit(code * bits + $1, of: stream) << UInt8($1) }
    }
  }

  /// The stream of the low `bits` bits of each code, filled up with zeros to a whole byte.
  public static func packStream(bits: Int, _ codes: [UInt8]) -> [UInt8] {
    var stream = [UInt8](repeating: 0, count: (codes.count * bits + 7) / 8)
    for position in 0..<codes.count * bits {
      let value = codes[position / bits] >> UInt8(position % bits) & 1
      stream[position / 8] |= value << UInt8(position % 8)
    }
    return stream
  }

  private static func bit(_ position: Int, of stream: [UInt8]) -> UInt8 {
    stream[position / 8] >> UInt8(position % 8) & 1
  }

  /// words [rows][columns] of four bytes -> codes [rows · 32 / bits][columns], each column a stream.
  public static func unpackRows(bits: Int, _ words: [UInt8], columns: Int) -> [UInt8] {
    guard columns > 0 else { return [] }
    let rows = words.count / 4 / columns
    let streams = transpose(words, rows: rows, columns: columns, size: 4)
    let codes = unpackStream(bits: bits, streams, count: rows * 32 / bits * columns)
    return transpose(codes, rows: columns, columns: rows * 32 / bits, size: 1)
  }

  /// The inverse of `unpackRows`.
  public static func packRows(bits: Int, _ codes: [UInt8], columns: Int) -> [UInt8] {
    guard columns > 0 else { return [] }
    let rows = codes.count / columns
    let streams = transpose(codes, rows: rows, columns: columns, size: 1)
    let words = packStream(bits: bits, streams)
    return transpose(words, rows: columns, columns: rows * bits / 32, size: 4)
  }

  /// The code, of eight, that each nibble of an interleaved word holds.
  public static let interleaving = [0, 2, 4, 6, 1, 3, 5, 7]

  /// words of four bytes -> eight 4-bit codes each.
  public static func unpackInterleaved(_ words: [UInt8]) -> [UInt8] {
    let nibbles = unpackStream(bits: 4, words, count: words.count * 2)
    var codes = nibbles
    for (position, nibble) in nibbles.enumerated() {
      codes[position / 8 * 8 + interleaving[position % 8]] = nibble
    }
    return codes
  }

  /// The inverse of `unpackInterleaved`.
  public static func packInterleaved(_ codes: [UInt8]) -> [UInt8] {
    packStream(
      bits: 4, codes.indices.map { codes[$0 / 8 * 8 + interleaving[$0 % 8]] })
  }

  /// [rows][columns] -> [columns][rows], elements of `size` bytes.
  public static func transpose(
    _ source: [UInt8], rows: Int, columns: Int, size: Int
  ) -> [UInt8] {
    (0..<columns).flatMap { column in
      (0..<rows).flatMap { row in
        let start = (row * columns + column) * size
        return source[start..<start + size]
      }
    }
  }
}
