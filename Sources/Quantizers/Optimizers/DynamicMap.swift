/// The tables of 8-bit optimizer states, made once.
public enum DynamicMap {
  /// For states that take both signs: 256 ascending values from −0.993 to 1 with 0 at 127.
  public static let signed = CodeTables.dynamic(signed: true)
  /// For states that do not fall below zero: 256 ascending values from 0 to 1.
  public static let unsigned = CodeTables.dynamic(signed: false)

  /// What the kernels search, for one of the two tables; nil for another.
  static func search(of map: [Float]) -> Search? {
    map == signed ? signedSearch : map == unsigned ? unsignedSearch : nil
  }

  struct Search: Sendable {
    /// Numbers between the entries.
    let thresholds: [Float]
    /// Codes of 65536 steps of −1 … 1.
    let steps: [UInt8]

    init(_ map: [Float]) {
      thresholds = EightBit.thresholds(map)
      steps = EightBit.lookup(map)
    }
  }

  private static let signedSearch = Search(signed)
  private static let unsignedSearch = Search(unsigned)
}
