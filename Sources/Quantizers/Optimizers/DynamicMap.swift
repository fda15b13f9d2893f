/// The tables of 8-bit optimizer states, made once.
public enum DynamicMap {
  /// For states that take both signs: 256 ascending values from −0.993 to 1 with 0 at 127.
  public static let signed = CodeTables.dynamic(signed: true)
  /// For states that do not fall below zero: 256 ascending values from 0 to 1.
  public static let unsigned = CodeTables.dynamic(signed: false)
}
