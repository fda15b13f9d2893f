/// The filters that are read.
enum TemplateFilter: String, CaseIterable, Sendable {
  case abs, capitalize, count, d, `default`, dictsort, first, float, indent, int, items, join, last
  case length, list, lower, map, max, min, reject, rejectattr, replace, reverse, round, safe
  case select, selectattr, sort, string, sum, title, tojson, trim, unique, upper
}

extension TemplateRun {
  /// `value|name(…)`.
  mutating func filter(
    _ name: String, _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    guard let filter = TemplateFilter(rawValue: name) else {
      throw TemplateProblem(.subset, "the filter \"\(name)\" is not read")
    }
    switch filter {
    case .default, .d: return try standard(value, call)
    case .tojson: return try json(value, call)
    case .length, .count: return .int(try length(of: value))
    case .string, .safe: return .text(try text(of: value))
    case .capitalize, .indent, .lower, .replace, .title, .trim, .upper:
      return try textFilter(filter, try text(of: value), call)
    case .abs, .float, .int, .round: return try numberFilter(filter, value, call)
    case .items, .dictsort: return try memberFilter(filter, value, call)
    default: return try listFilter(filter, value, call)
    }
  }

  private func standard(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    let isMissing: Bool
    if case .undefined = value { isMissing = true } else { isMissing = false }
    let takesFalse = call.value(1, "boolean")?.isTrue ?? false
    guard isMissing || takesFalse && !value.isTrue else { return value }
    return call.value(0, "default_value") ?? .text([])
  }

  private mutating func json(
    _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    // The peer's filter takes ensure_ascii, indent, separators and sort_keys.
    if call.value(0, "ensure_ascii")?.isTrue ?? false {
      throw TemplateProblem(.subset, "tojson with ensure_ascii is not read")
    }
    let indent = call.value(1, "indent").flatMap(\.int)
    guard indent == nil || (0...16).contains(indent ?? 0) else {
      throw TemplateProblem(.limits, "an indent beyond 16", found: "\(indent ?? 0)")
    }
    var separators: (TemplateText, TemplateText)?
    if case .list(let pair)? = call.value(2, "separators"), pair.items.count == 2,
      let comma = pair.items[0].text, let colon = pair.items[1].text
    {
      separators = (comma, colon)
    }
    try spend(value.weight)
    var writer = TemplateJSONWriter(
      indent: indent, sortsKeys: call.value(3, "sort_keys")?.isTrue ?? false,
      separators: separators)
    try value.writeJSON(&writer)
    try spend(writer.text.count)
    return .text(writer.text)
  }

  func length(of value: TemplateValue) throws -> Int {
    switch value {
    case .text(let text): return text.count
    case .list(let list): return list.items.count
    case .mapping(let mapping): return mapping.keys.count
    case .undefined: return 0
    default: throw TemplateProblem(.value, "the length of what has none", found: value.typeName)
    }
  }

  // MARK: Texts

  private mutating func textFilter(
    _ filter: TemplateFilter, _ text: TemplateText, _ call: TemplateCall
  ) throws -> TemplateValue {
    switch filter {
    case .trim: return .text(PythonText.stripped(text, try call.text(0, "chars")))
    case .upper: return .text(PythonText.upper(text))
    case .lower: return .text(PythonText.lower(text))
    case .capitalize: return .text(PythonText.capitalized(text))
    case .title: return .text(PythonText.titled(text))
    case .replace:
      guard let old = try call.text(0, "old"), let new = try call.text(1, "new") else {
        throw TemplateProblem(.value, "replace takes two strings")
      }
      return .text(try replaced(text, old, new, most: try call.int(2, "count")))
    default: return .text(try indented(text, call))
    }
  }

  /// `text.replace(old, new, most)`.
  mutating func replaced(
    _ text: TemplateText, _ old: TemplateText, _ new: TemplateText, most: Int? = nil
  ) throws -> TemplateText {
    guard !old.isEmpty else {
      throw TemplateProblem(.subset, "replacing an empty string is not read")
    }
    try spend(text.count)
    let most = most.map { $0 < 0 ? Int.max : $0 } ?? Int.max
    var result: TemplateText = []
    var index = 0
    var count = 0
    while index < text.count {
      if count < most, text[index...].starts(with: old) {
        try spend(new.count)
        result += new
        index += old.count
        count += 1
      } else {
        result.append(text[index])
        index += 1
      }
    }
    return result
  }

  private mutating func indented(
    _ text: TemplateText, _ call: TemplateCall
  ) throws -> TemplateText {
    let width = try call.int(0, "width") ?? 4
    guard (0...64).contains(width) else {
      throw TemplateProblem(.limits, "an indent beyond 64", found: "\(width)")
    }
    let first = call.value(1, "first")?.isTrue ?? false
    let blank = call.value(2, "blank")?.isTrue ?? false
    let margin = TemplateText(repeating: " ", count: width)
    var result: TemplateText = []
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      if index > 0 { result.append("\n") }
      if index == 0 ? first : blank || !line.isEmpty { result += margin }
      try spend(width)
      result += line
    }
    return result
  }

  // MARK: Numbers

  private func numberFilter(
    _ filter: TemplateFilter, _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    switch (filter, value) {
    case (.int, .text(let text)):
      return Int(PythonText.string(PythonText.stripped(text))).map(TemplateValue.int)
        ?? call.value(0, "default") ?? .int(0)
    case (.float, .text(let text)):
      return Double(PythonText.string(PythonText.stripped(text))).map(TemplateValue.float)
        ?? call.value(0, "default") ?? .float(0)
    case (.abs, _):
      if let whole = value.int, whole != .min { return .int(Swift.abs(whole)) }
      if let real = value.double { return .float(Swift.abs(real)) }
    case (.int, _):
      if let whole = value.int { return .int(whole) }
      if let real = value.double, let whole = Int(exactly: real.rounded(.towardZero)) {
        return .int(whole)
      }
      return call.value(0, "default") ?? .int(0)
    case (.float, _):
      return value.double.map(TemplateValue.float) ?? call.value(0, "default") ?? .float(0)
    default:
      if let real = value.double, try call.int(0, "precision") ?? 0 == 0, call.named.isEmpty {
        return .float(real.rounded(.toNearestOrEven))
      }
      throw TemplateProblem(.subset, "round with a precision is not read")
    }
    throw TemplateProblem(.value, "not a number", found: value.typeName)
  }

  private mutating func memberFilter(
    _ filter: TemplateFilter, _ value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    if case .undefined = value, filter == .items { return try list([]) }
    guard case .mapping(let mapping) = value else {
      throw TemplateProblem(.value, "only a mapping has members", found: value.typeName)
    }
    if filter == .items { return try list(mapping.items) }
    guard call.count == 0 else {
      throw TemplateProblem(.subset, "dictsort with arguments is not read")
    }
    // Keys are compared without case, as Jinja does.
    let keys = mapping.keys.map(PythonText.lower)
    try spend(value.weight)
    let order = keys.indices.sorted {
      keys[$0] == keys[$1] ? $0 < $1 : keys[$0].lexicographicallyPrecedes(keys[$1])
    }
    let items = mapping.items
    return try list(order.map { items[$0] })
  }
}

extension PythonText {
  static func upper(_ text: TemplateText) -> TemplateText {
    text.flatMap { Array($0.properties.uppercaseMapping.unicodeScalars) }
  }

  static func lower(_ text: TemplateText) -> TemplateText {
    text.flatMap { Array($0.properties.lowercaseMapping.unicodeScalars) }
  }

  static func capitalized(_ text: TemplateText) -> TemplateText {
    guard let first = text.first else { return [] }
    return Array(first.properties.titlecaseMapping.unicodeScalars) + lower(Array(text.dropFirst()))
  }

  /// Every word begins large, as Jinja's `title` has it: words end at blanks, `-` and brackets.
  static func titled(_ text: TemplateText) -> TemplateText {
    var result: TemplateText = []
    var word: TemplateText = []
    for scalar in text {
      if isBlank(scalar) || "-([{<".unicodeScalars.contains(scalar) {
        result += capitalized(word) + [scalar]
        word = []
      } else {
        word.append(scalar)
      }
    }
    return result + capitalized(word)
  }
}
