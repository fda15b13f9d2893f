extension JSON {
  /// The value as a JSON text without a final newline; the same value gives the same text.
  ///
  /// Without `indent` there are no blanks at all, as in safetensors headers; with it, that many
  /// spaces a level, as Python's `json.dumps(value, indent: indent, ensure_ascii=False)` prints.
  /// Numbers are written as they are spelled. O(n).
  public func text(indent: Int? = nil) -> String {
    var writer = JSONWriter(indent: indent)
    writer.write(self)
    return writer.text
  }
}

private struct JSONWriter {
  let indent: Int?
  var text = ""
  private var level = 0

  init(indent: Int?) {
    self.indent = indent
  }

  mutating func write(_ value: JSON) {
    switch value {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .number(let spelling): text += spelling
    case .string(let string): writeString(string)
    case .array(let elements):
      writeList(elements, "[", "]") { $0.write($1) }
    case .object(let object):
      writeList(object.members, "{", "}") { writer, member in
        writer.writeString(member.key)
        writer.text += writer.indent == nil ? ":" : ": "
        writer.write(member.value)
      }
    }
  }

  private mutating func writeList<Item>(
    _ items: [Item], _ opening: String, _ closing: String,
    _ writeItem: (inout JSONWriter, Item) -> Void
  ) {
    text += opening
    level += 1
    for (index, item) in items.enumerated() {
      if index > 0 { text += "," }
      breakLine()
      writeItem(&self, item)
    }
    level -= 1
    if !items.isEmpty { breakLine() }
    text += closing
  }

  private mutating func breakLine() {
    guard let indent else { return }
    text += "\n"
    text += String(repeating: " ", count: max(indent, 0) * level)
  }

  private mutating func writeString(_ string: String) {
    text += "\""
    if string.utf8.contains(where: \.needsEscape) {
      for scalar in string.unicodeScalars { writeScalar(scalar) }
    } else {
      text += string
    }
    text += "\""
  }

  private mutating func writeScalar(_ scalar: Unicode.Scalar) {
    switch scalar {
    case "\"": text += "\\\""
    case "\\": text += "\\\\"
    case "\u{8}": text += "\\b"
    case "\u{C}": text += "\\f"
    case "\n": text += "\\n"
    case "\r": text += "\\r"
    case "\t": text += "\\t"
    case "\0"..<" ":
      text += scalar.value < 0x10 ? "\\u000" : "\\u00"
      text += String(scalar.value, radix: 16)
    default: text.unicodeScalars.append(scalar)
    }
  }
}

extension UInt8 {
  fileprivate var needsEscape: Bool {
    self < 0x20 || self == UInt8(ascii: "\"") || self == UInt8(ascii: "\\")
  }
}
