internal import TensorCore

extension TemplateValue {
  /// A JSON value; its numbers are whole where they are spelled so. Throws `unsupported` for whole
  /// numbers beyond 64 bits.
  init(_ json: JSON, at place: String) throws {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .string(let text): self = .string(text)
    case .number(let spelling): self = try Self.number(spelling, at: place)
    case .array(let elements):
      self = .list(TemplateList(try elements.map { try TemplateValue($0, at: place) }))
    case .object(let object):
      var mapping = TemplateMapping()
      for member in object.members {
        mapping[Array(member.key.unicodeScalars)] = try TemplateValue(member.value, at: place)
      }
      self = .mapping(mapping)
    }
  }

  private static func number(_ spelling: String, at place: String) throws -> TemplateValue {
    if let value = Int(spelling) { return .int(value) }
    if spelling.contains(where: { ".eE".contains($0) }), let value = Double(spelling),
      value.isFinite
    {
      return .float(value)
    }
    throw Failure.template(.limits, .unsupported, at: place, "a number too large", found: spelling)
  }

  /// Appends `json.dumps(value, ensure_ascii=False, indent=indent)`.
  func writeJSON(
    _ writer: inout TemplateJSONWriter, level: Int = 0
  ) throws {
    switch self {
    case .none: writer.text += "null".unicodeScalars
    case .bool(let value): writer.text += (value ? "true" : "false").unicodeScalars
    case .int(let value): writer.text += String(value).unicodeScalars
    case .float(let value): writer.text += PythonText.number(value)
    case .text(let text): writer.write(text)
    case .list(let list):
      try writer.list(list.items.indices, "[", "]", level) { writer, index in
        try list.items[index].writeJSON(&writer, level: level + 1)
      }
    case .mapping(let mapping):
      let order = writer.sortsKeys ? mapping.sortedPositions : Array(mapping.keys.indices)
      try writer.list(order.indices, "{", "}", level) { writer, index in
        writer.write(mapping.keys[order[index]])
        writer.text += writer.colon
        try mapping.values[order[index]].writeJSON(&writer, level: level + 1)
      }
    case .undefined, .namespace:
      throw TemplateProblem(.value, "tojson of what is no JSON: \(typeName)")
    }
  }
}

extension TemplateMapping {
  /// Positions in the order of the keys' scalars.
  var sortedPositions: [Int] {
    keys.indices.sorted { keys[$0].lexicographicallyPrecedes(keys[$1]) }
  }
}

/// JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it.
struct TemplateJSONWriter {
  var text: TemplateText = []
  let indent: Int?
  let comma: TemplateText
  let colon: TemplateText
  let sortsKeys: Bool

  init(indent: Int?, sortsKeys: Bool, separators: (TemplateText, TemplateText)?) {
    self.indent = indent
    self.sortsKeys = sortsKeys
    comma = separators?.0 ?? Array((indent == nil ? ", " : ",").unicodeScalars)
    colon = separators?.1 ?? Array(": ".unicodeScalars)
  }

  mutating func list(
    _ indices: Range<Int>, _ opening: Unicode.Scalar, _ closing: Unicode.Scalar, _ level: Int,
    _ writeItem: (inout TemplateJSONWriter, Int) throws -> Void
  ) rethrows {
    text.append(opening)
    for index in indices {
      if index > 0 { text += comma }
      breakLine(level + 1)
      try writeItem(&self, index)
    }
    if !indices.isEmpty { breakLine(level) }
    text.append(closing)
  }

  private mutating func breakLine(_ level: Int) {
    guard let indent else { return }
    text.append("\n")
    text += repeatElement(" ", count: indent * level)
  }

  mutating func write(_ string: TemplateText) {
    text.append("\"")
    for scalar in string {
      switch scalar {
      case "\"": text += "\\\"".unicodeScalars
      case "\\": text += "\\\\".unicodeScalars
      case "\n": text += "\\n".unicodeScalars
      case "\r": text += "\\r".unicodeScalars
      case "\t": text += "\\t".unicodeScalars
      case "\u{8}": text += "\\b".unicodeScalars
      case "\u{C}": text += "\\f".unicodeScalars
      case "\0"..<" ": text += ("\\u" + PythonText.hexadecimal(scalar.value, 4)).unicodeScalars
      default: text.append(scalar)
      }
    }
    text.append("\"")
  }
}
