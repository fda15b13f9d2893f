extension Reference {
  /// Two codes a byte, the first in its high half.
  public static func unpackNibbles(_ bytes: [UInt8], count: Int) -> [UInt8] {
    (0..<count).map { $0 % 2 == 0 ? bytes[$0 / 2] >> 4 : bytes[$0 / 2] & 15 }
  }

  public static func packNibbles(_ codes: [UInt8]) -> [UInt8] {
    stride(from: 0, to: codes.count, by: 2).map { index in
      codes[index] << 4 | (index + 1 < codes.count ? codes[index + 1] & 15 : 0)
    }
  }
}
