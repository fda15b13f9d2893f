extension TemplateRun {
  mutating func holds(
    _ left: TemplateValue, _ sign: TemplateExpression.Comparison, _ right: TemplateValue
  ) throws -> Bool {
    switch sign {
    case .equal, .unequal:
      try spend(min(left.weight, right.weight))
      return left.equals(right) == (sign == .equal)
    case .isIn: return try contains(right, left)
    case .isNotIn: return !(try contains(right, left))
    case .less: return try precedes(left, right)
    case .greater: return try precedes(right, left)
    case .lessOrEqual: return !(try precedes(right, left))
    case .greaterOrEqual: return !(try precedes(left, right))
    }
  }

  /// `element in container`.
  mutating func contains(_ container: TemplateValue, _ element: TemplateValue) throws -> Bool {
    switch container {
    case .text(let text):
      guard let part = element.text else {
        throw TemplateProblem(.value, "only a string is in a string", found: element.typeName)
      }
      try spend(text.count)
      return text.firstRange(of: part) != nil || part.isEmpty
    case .mapping(let mapping): return element.text.map { mapping[$0] != nil } ?? false
    case .list(let list):
      try spend(container.weight)
      return list.items.contains { $0.equals(element) }
    case .undefined: return false
    default: throw TemplateProblem(.value, "nothing is in it", found: container.typeName)
    }
  }

  /// `left < right`.
  mutating func precedes(_ left: TemplateValue, _ right: TemplateValue) throws -> Bool {
    switch (left, right) {
    case (.text(let one), .text(let other)):
      try spend(min(one.count, other.count))
      return one.lexicographicallyPrecedes(other)
    default:
      if let one = left.int, let other = right.int { return one < other }
      if let one = left.double, let other = right.double { return one < other }
      throw TemplateProblem(
        .value, "values without an order", found: "\(left.typeName) and \(right.typeName)")
    }
  }

  mutating func arithmetic(
    _ sign: TemplateExpression.Arithmetic, _ left: TemplateValue, _ right: TemplateValue
  ) throws -> TemplateValue {
    if sign == .concatenation {
      return try joined(try text(of: left), try text(of: right))
    }
    switch (sign, left, right) {
    case (.plus, .text(let one), .text(let other)): return try joined(one, other)
    case (.plus, .list(let one), .list(let other)) where one.isTuple == other.isTuple:
      return try list(one.items + other.items, isTuple: one.isTuple)
    case (.times, .text(let text), _):
      guard let count = right.int else { break }
      return .text(try repeated(text, count))
    case (.times, .list(let items), _):
      guard let count = right.int else { break }
      return try list(try repeated(items.items, count), isTuple: items.isTuple)
    case (.remainder, .text, _):
      throw TemplateProblem(.subset, "formatting by % is not read")
    default: break
    }
    if let one = left.int, let other = right.int, sign != .over {
      return try whole(sign, one, other)
    }
    if let one = left.double, let other = right.double { return try real(sign, one, other) }
    throw TemplateProblem(
      .value, "\"\(sign.rawValue)\" of values that do not take it",
      found: "\(left.typeName) and \(right.typeName)")
  }

  /// `str(value)`.
  mutating func text(of value: TemplateValue) throws -> TemplateText {
    try spend(value.weight)
    return try PythonText.text(value)
  }

  private mutating func joined(_ one: TemplateText, _ other: TemplateText) throws -> TemplateValue {
    try spend(one.count + other.count)
    return .text(one + other)
  }

  private mutating func repeated<Element>(_ part: [Element], _ count: Int) throws -> [Element] {
    guard count > 0, !part.isEmpty else { return [] }
    let (size, overflows) = part.count.multipliedReportingOverflow(by: count)
    try spend(overflows ? Int.max / 2 : size)
    return Array(repeatElement(part, count: count).joined())
  }

  private func whole(
    _ sign: TemplateExpression.Arithmetic, _ one: Int, _ other: Int
  ) throws -> TemplateValue {
    let result: (partialValue: Int, overflow: Bool)
    switch sign {
    case .plus: result = one.addingReportingOverflow(other)
    case .minus: result = one.subtractingReportingOverflow(other)
    case .times: result = one.multipliedReportingOverflow(by: other)
    case .wholeOver, .remainder:
      guard other != 0 else { throw TemplateProblem(.value, "a division by zero") }
      let quotient = one.dividedReportingOverflow(by: other)
      let remainder = one.remainderReportingOverflow(dividingBy: other).partialValue
      // Python rounds down.
      let isDown = remainder != 0 && (remainder < 0) != (other < 0)
      result =
        sign == .remainder
        ? (isDown ? remainder + other : remainder, false)
        : (isDown ? quotient.partialValue - 1 : quotient.partialValue, quotient.overflow)
    default: throw TemplateProblem(.subset, "\"\(sign.rawValue)\" of whole numbers is not read")
    }
    guard !result.overflow else {
      throw TemplateProblem(.limits, "a whole number beyond 64 bits")
    }
    return .int(result.partialValue)
  }

  private func real(
    _ sign: TemplateExpression.Arithmetic, _ one: Double, _ other: Double
  ) throws -> TemplateValue {
    switch sign {
    case .plus: return .float(one + other)
    case .minus: return .float(one - other)
    case .times: return .float(one * other)
    case .over:
      guard other != 0 else { throw TemplateProblem(.value, "a division by zero") }
      return .float(one / other)
    default: throw TemplateProblem(.subset, "\"\(sign.rawValue)\" of floats is not read")
    }
  }
}

extension PythonText {
  static func string(_ text: TemplateText) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: text)
    return String(view)
  }
}
