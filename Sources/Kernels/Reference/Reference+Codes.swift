extension Reference {
  /// The `count` codes of a stream: code i is in bits [bits·i, bits·i + bits).
  public static func unpackStream(bits: Int, _ stream: [UInt8], count: Int) -> [UInt8] {
    var codes = [UInt8](repeating: 0, count: count)
    for position in 0..<count * bits {
      let value = stream[position / 8] >> UInt8(position % 8) & 1
      codes[position / bits] |= value << UInt8(position % bits)
    }
    return codes
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

  /// 16-bit words [rows / 4][columns] -> codes [rows][columns], each code by itself.
  public static func unpackQuads(_ words: [UInt8], rows: Int, columns: Int) -> [UInt8] {
    (0..<rows * columns).map { index in
      let place = placeInQuad(row: index / columns, column: index % columns, columns: columns)
      return words[place / 2] >> UInt8(place % 2 * 4) & 15
    }
  }

  /// The inverse of `unpackQuads`.
  public static func packQuads(_ codes: [UInt8], rows: Int, columns: Int) -> [UInt8] {
    var words = [UInt8](repeating: 0, count: codes.count / 2)
    for (index, code) in codes.enumerated() {
      let place = placeInQuad(row: index / columns, column: index % columns, columns: columns)
      words[place / 2] |= (code & 15) << UInt8(place % 2 * 4)
    }
    return words
  }

  /// The nibble, counted from the start of the words, that holds a code.
  private static func placeInQuad(row: Int, column: Int, columns: Int) -> Int {
    let word =
      row / 4 * columns + column / 64 * 64 + row % 4 * 16 + column % 64 / 32 * 8 + column % 8
    return word * 4 + column % 32 / 8
  }

  /// [rows][columns] -> [columns][rows], elements of `size` bytes.
  public static func transpose(
    _ source: [UInt8], rows: Int, columns: Int, size: Int
  ) -> [UInt8] {
    var target: [UInt8] = []
    for column in 0..<columns {
      for row in 0..<rows {
        let start = (row * columns + column) * size
        target += source[start..<start + size]
      }
    }
    return target
  }
}
