/// How Python spells values.
enum PythonText {
  /// `str(value)`.
  static func text(_ value: TemplateValue) throws -> TemplateText {
    if case .text(let text) = value { return text }
    if case .undefined = value { return [] }
    return try representation(value)
  }

  /// `repr(value)`.
  static func representation(_ value: TemplateValue) throws -> TemplateText {
    switch value {
    case .undefined: return Array("Undefined".unicodeScalars)
    case .none: return Array("None".unicodeScalars)
    case .bool(let value): return Array((value ? "True" : "False").unicodeScalars)
    case .int(let value): return Array(String(value).unicodeScalars)
    case .float(let value): return number(value)
    case .text(let text): return quoted(text)
    case .list(let list):
      let parts = try list.items.map(representation).joined(separator: ", ".unicodeScalars)
      if !list.isTuple { return ["["] + parts + ["]"] }
      return ["("] + parts + (list.items.count == 1 ? [","] : []) + [")"]
    case .mapping(let mapping):
      let parts = try zip(mapping.keys, mapping.values).map {
        quoted($0) + ": ".unicodeScalars + (try representation($1))
      }
      return ["{"] + parts.joined(separator: ", ".unicodeScalars) + ["}"]
    case .namespace:
      throw TemplateProblem(.value, "a namespace is printed")
    }
  }

  /// `repr` of a float: the shortest digits, an exponent from 1e16 on and below 1e-4.
  static func number(_ value: Double) -> TemplateText {
    if value.isNaN { return Array("nan".unicodeScalars) }
    if value.isInfinite { return Array((value < 0 ? "-inf" : "inf").unicodeScalars) }
    // Swift changes to exponents at 2^54.
    if value.magnitude >= 9e15, value.magnitude < 1e16 {
      return Array((String(Int(value)) + ".0").unicodeScalars)
    }
    return Array("\(value)".unicodeScalars)
  }

  private static func quoted(_ text: TemplateText) -> TemplateText {
    let quote: Unicode.Scalar = text.contains("'") && !text.contains("\"") ? "\"" : "'"
    var result: TemplateText = [quote]
    for scalar in text {
      switch scalar {
      case quote, "\\": result += ["\\", scalar]
      case "\n": result += "\\n".unicodeScalars
      case "\r": result += "\\r".unicodeScalars
      case "\t": result += "\\t".unicodeScalars
      default: result += isPrintable(scalar) ? [scalar] : escaped(scalar)
      }
    }
    return result + [quote]
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar == " " { return true }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator,
      .lineSeparator, .paragraphSeparator:
      return false
    default: return true
    }
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> TemplateText {
    let value = scalar.value
    let text =
      value < 0x100
      ? "\\x" + hexadecimal(value, 2)
      : value < 0x10000 ? "\\u" + hexadecimal(value, 4) : "\\U" + hexadecimal(value, 8)
    return Array(text.unicodeScalars)
  }

  static func hexadecimal(_ value: UInt32, _ digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(digits - text.count, 0)) + text
  }

  /// `str.isspace` of one scalar.
  static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || ("\u{1C}"..."\u{1F}").contains(scalar)
  }

  /// `text.strip(characters)`; blanks where there are none given.
  static func stripped(
    _ text: TemplateText, _ characters: TemplateText? = nil, left: Bool = true, right: Bool = true
  ) -> TemplateText {
    let goes: (Unicode.Scalar) -> Bool = { characters?.contains($0) ?? isBlank($0) }
    var range = text.startIndex..<text.endIndex
    while left, !range.isEmpty, goes(text[range.lowerBound]) {
      range = range.lowerBound + 1..<range.upperBound
    }
    while right, !range.isEmpty, goes(text[range.upperBound - 1]) {
      range = range.lowerBound..<range.upperBound - 1
    }
    return Array(text[range])
  }
}
