/// The tests that are read, by Jinja's names.
enum TemplateTest: String, CaseIterable, Sendable {
  case boolean, callable, defined, divisibleby, eq, equalto, even, `false`, float, ge, greaterthan
  case gt, `in`, integer, iterable, le, lessthan, lower, lt, mapping, ne, none, number, odd,
    sequence
  case string, `true`, undefined, upper
}

extension TemplateRun {
  /// `expression is name …`.
  mutating func test(
    _ name: String, _ expression: TemplateExpression, _ arguments: TemplateArguments
  ) throws -> Bool {
    if name == "defined" || name == "undefined" || name == "callable",
      case .name(let variable) = expression, value(of: variable) == nil,
      hasFunction(variable) || macro(variable) != nil
    {
      return name != "undefined"
    }
    let value = try evaluate(expression)
    return try test(name, of: value, try values(arguments).positional)
  }

  /// Without a day there is no clock to ask, which templates are prepared for.
  private func hasFunction(_ name: String) -> Bool {
    TemplateFunction(rawValue: name).map { $0 != .strftime || today != nil } ?? false
  }

  mutating func test(
    _ name: String, of value: TemplateValue, _ arguments: [TemplateValue]
  ) throws -> Bool {
    let signs: [String: TemplateExpression.Comparison] = [
      "eq": .equal, "equalto": .equal, "==": .equal, "ne": .unequal, "!=": .unequal,
      "lt": .less, "lessthan": .less, "<": .less, "le": .lessOrEqual, "<=": .lessOrEqual,
      "gt": .greater, "greaterthan": .greater, ">": .greater, "ge": .greaterOrEqual,
      ">=": .greaterOrEqual, "in": .isIn,
    ]
    if let sign = signs[name] {
      guard arguments.count == 1 else { throw wrongCount(name) }
      return try holds(value, sign, arguments[0])
    }
    guard let test = TemplateTest(rawValue: name) else {
      throw TemplateProblem(.subset, "the test \"\(name)\" is not read")
    }
    if test == .divisibleby {
      guard arguments.count == 1 else { throw wrongCount(name) }
      return try arithmetic(.remainder, value, arguments[0]).int == 0
    }
    guard arguments.isEmpty else { throw wrongCount(name) }
    return try isKind(test, value)
  }

  private func wrongCount(_ name: String) -> TemplateProblem {
    TemplateProblem(.value, "the test \"\(name)\" takes another number of values")
  }

  private mutating func isKind(_ test: TemplateTest, _ value: TemplateValue) throws -> Bool {
    switch (test, value) {
    case (.undefined, .undefined), (.none, .none), (.boolean, .bool), (.float, .float),
      (.integer, .int), (.mapping, .mapping), (.string, .text), (.true, .bool(true)),
      (.false, .bool(false)), (.number, .bool), (.number, .int), (.number, .float),
      (.sequence, .text), (.sequence, .list), (.sequence, .mapping), (.sequence, .undefined),
      (.iterable, .text), (.iterable, .list), (.iterable, .mapping), (.iterable, .undefined):
      return true
    case (.defined, .undefined): return false
    case (.defined, _): return true
    case (.odd, _): return try arithmetic(.remainder, value, .int(2)).int == 1
    case (.even, _): return try arithmetic(.remainder, value, .int(2)).int == 0
    case (.upper, .text(let text)):
      return text == PythonText.upper(text) && text != PythonText.lower(text)
    case (.lower, .text(let text)):
      return text == PythonText.lower(text) && text != PythonText.upper(text)
    default: return false
    }
  }
}
