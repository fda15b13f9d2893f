/// The methods of strings and mappings that are read.
enum TemplateMethod: String, CaseIterable, Sendable {
  case capitalize, count, endswith, find, get, index, items, join, keys, lower, lstrip, replace
  case removeprefix, removesuffix, rsplit, rstrip, split, splitlines, startswith, strip, title,
    upper
  case values
}

extension TemplateRun {
  /// `value.name(…)`.
  mutating func method(
    _ name: String, of value: TemplateValue, _ call: TemplateCall
  ) throws -> TemplateValue {
    if case .undefined(let base) = value {
      throw TemplateProblem(.value, "\"\(name)\" of \"\(base)\", which is undefined")
    }
    guard let method = TemplateMethod(rawValue: name) else {
      throw TemplateProblem(.subset, "the method \"\(name)\" is not read")
    }
    try spend(value.weight)
    switch value {
    case .text(let text): return try self.method(method, of: text, call)
    case .mapping(let mapping): return try self.method(method, of: mapping, call)
    case .list(let list) where method == .count || method == .index:
      let wanted = call.value(0, "value") ?? .none
      if method == .count { return .int(list.items.count { $0.equals(wanted) }) }
      if let index = list.items.firstIndex(where: { $0.equals(wanted) }) { return .int(index) }
      throw TemplateProblem(.value, "a value that is not in the list")
    default:
      throw TemplateProblem(
        .value, "the method \"\(name)\" of what has none", found: value.typeName)
    }
  }

  private mutating func method(
    _ method: TemplateMethod, of mapping: TemplateMapping, _ call: TemplateCall
  ) throws -> TemplateValue {
    switch method {
    case .items: return try list(mapping.items)
    case .keys: return try list(mapping.keys.map(TemplateValue.text))
    case .values: return try list(mapping.values)
    case .get:
      guard let key = call.value(0, "key") else { break }
      return key.text.flatMap { mapping[$0] } ?? call.value(1, "default") ?? .none
    default: break
    }
    throw TemplateProblem(.value, "a mapping has no method like this", found: method.rawValue)
  }

  private mutating func method(
    _ method: TemplateMethod, of text: TemplateText, _ call: TemplateCall
  ) throws -> TemplateValue {
    switch method {
    case .strip, .lstrip, .rstrip:
      return .text(
        PythonText.stripped(
          text, try call.text(0, "chars"), left: method != .rstrip, right: method != .lstrip))
    case .upper: return .text(PythonText.upper(text))
    case .lower: return .text(PythonText.lower(text))
    case .capitalize: return .text(PythonText.capitalized(text))
    case .title: return .text(PythonText.pythonTitled(text))
    case .startswith, .endswith: return .bool(try isAtEnd(method, text, call))
    case .replace:
      guard let old = try call.text(0, "old"), let new = try call.text(1, "new") else { break }
      return .text(try replaced(text, old, new, most: try call.int(2, "count")))
    case .split, .rsplit: return try split(method, text, call)
    case .splitlines: return try list(PythonText.lines(text).map(TemplateValue.text))
    case .join:
      guard let parts = call.value(0, "iterable") else { break }
      let texts = try items(of: parts).map { item in
        guard let text = item.text else { throw TemplateProblem(.value, "join of no strings") }
        try spend(text.count)
        return text
      }
      try spend(texts.count * text.count)
      return .text(Array(texts.joined(separator: text)))
    case .removeprefix, .removesuffix:
      guard let part = try call.text(0, "part") else { break }
      if method == .removeprefix {
        return .text(text.starts(with: part) ? Array(text.dropFirst(part.count)) : text)
      }
      return .text(text.ends(with: part) ? Array(text.dropLast(part.count)) : text)
    case .find, .index, .count:
      guard let part = try call.text(0, "sub"), call.count == 1, !part.isEmpty else { break }
      if method == .count { return .int(text.ranges(of: part).count) }
      let position = text.firstRange(of: part)?.lowerBound
      guard position != nil || method == .find else { break }
      return .int(position ?? -1)
    case .get, .items, .keys, .values: break
    }
    throw TemplateProblem(.value, "a string does not do this", found: method.rawValue)
  }

  private func isAtEnd(
    _ method: TemplateMethod, _ text: TemplateText, _ call: TemplateCall
  ) throws -> Bool {
    var parts: [TemplateText] = []
    switch call.value(0, "prefix") {
    case .text(let part)?: parts = [part]
    case .list(let list)? where list.isTuple: parts = list.items.compactMap(\.text)
    default: throw TemplateProblem(.value, "\(method.rawValue) takes a string")
    }
    return parts.contains { method == .startswith ? text.starts(with: $0) : text.ends(with: $0) }
  }

  private mutating func split(
    _ method: TemplateMethod, _ text: TemplateText, _ call: TemplateCall
  ) throws -> TemplateValue {
    let most = try call.int(1, "maxsplit").map { $0 < 0 ? Int.max : $0 } ?? Int.max
    guard let separator = try call.text(0, "sep") else {
      guard most == .max else {
        throw TemplateProblem(.subset, "split at blanks with a limit is not read")
      }
      return try list(text.split(whereSeparator: PythonText.isBlank).map { .text(Array($0)) })
    }
    guard !separator.isEmpty else { throw TemplateProblem(.value, "an empty separator") }
    var parts: [TemplateText] = []
    var rest = text[...]
    while parts.count < most {
      guard
        let range = method == .split
          ? rest.firstRange(of: separator) : rest.lastRange(of: separator)
      else { break }
      if method == .split {
        parts.append(Array(rest[..<range.lowerBound]))
        rest = rest[range.upperBound...]
      } else {
        parts.append(Array(rest[range.upperBound...]))
        rest = rest[..<range.lowerBound]
      }
    }
    parts.append(Array(rest))
    return try list((method == .split ? parts : parts.reversed()).map(TemplateValue.text))
  }
}

extension Collection where Element == Unicode.Scalar {
  fileprivate func ends(with part: TemplateText) -> Bool { suffix(part.count).elementsEqual(part) }
}

extension ArraySlice<Unicode.Scalar> {
  fileprivate func lastRange(of part: TemplateText) -> Range<Int>? {
    guard count >= part.count else { return nil }
    var start = endIndex - part.count
    while start >= startIndex {
      if self[start...].starts(with: part) { return start..<start + part.count }
      start -= 1
    }
    return nil
  }
}

extension PythonText {
  /// `str.title`: what follows something else than a letter begins a word.
  static func pythonTitled(_ text: TemplateText) -> TemplateText {
    var result: TemplateText = []
    var isInWord = false
    for scalar in text {
      let properties = scalar.properties
      let mapping = isInWord ? properties.lowercaseMapping : properties.titlecaseMapping
      result += mapping.unicodeScalars
      isInWord = properties.isCased
    }
    return result
  }

  /// `str.splitlines`.
  static func lines(_ text: TemplateText) -> [TemplateText] {
    let ends: [Unicode.Scalar] = [
      "\n", "\r", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}",
    ]
    var lines: [TemplateText] = []
    var line: TemplateText = []
    var last: Unicode.Scalar?
    for scalar in text {
      defer { last = scalar }
      if scalar == "\n", last == "\r" { continue }
      if ends.contains(scalar) {
        lines.append(line)
        line = []
      } else {
        line.append(scalar)
      }
    }
    return line.isEmpty ? lines : lines + [line]
  }
}
