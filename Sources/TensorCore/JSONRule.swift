/// The rules a JSON text must keep, stricter than RFC 8259; a `Failure` cites one as `JSON-n`.
///
/// The numbers are part of the documentation of the formats: they are never given to another rule.
public enum JSONRule: Int, CaseIterable, Sendable {
  /// The text is not longer than its limit.
  case textLength = 1
  /// The text holds a value, not only blanks.
  case notEmpty
  /// No byte order mark before the value.
  case noByteOrderMark
  /// Nothing but space, tab, CR and LF after the value: no NUL padding, no second value.
  case nothingAfter
  /// Values, commas, colons and brackets stand where the grammar has them.
  case structure
  /// The text does not end inside of the value.
  case complete
  /// No comma before a closing bracket.
  case noTrailingComma
  /// No comments.
  case noComments
  /// Strings are in double quotes.
  case doubleQuotes
  /// The only literals are `true`, `false` and `null`: no NaN, no Infinity.
  case literal
  /// Numbers are spelled as JSON has them: no `+1`, `.5`, `1.`, `01`, `0x1`.
  case numberSpelling
  /// Numbers have at most 1024 bytes.
  case numberLength
  /// Integers lie in `Int64.min...UInt64.max`, the others are finite as a `Double`.
  case numberRange
  /// Strings hold no raw control characters (below U+0020).
  case noRawControl
  /// Escapes are `\" \\ \/ \b \f \n \r \t` and `\u` with four hexadecimal digits.
  case escape
  /// `\uD800`…`\uDFFF` come in pairs, high before low.
  case surrogatePairs
  /// No `\u0000`: readers in C would cut the string there.
  case noEscapedNUL
  /// Strings are UTF-8: nothing overlong, no surrogates, nothing above U+10FFFF.
  case utf8
  /// The keys of one object differ after their escapes are decoded, byte by byte.
  case uniqueKeys
  /// Objects and arrays are not nested deeper than the limit.
  case depth
  /// Members and elements of the whole text are not more than the limit.
  case memberCount
  /// Objects of the whole text are not more than the limit.
  case objectCount
  /// Decoded keys are not longer than the limit.
  case keyLength
  /// The parser agrees with the rules above.
  case parserAgrees

  /// The number as errors print it, such as `JSON-19`.
  public var name: String { "JSON-\(rawValue)" }
}
