extension TemplateParser {
  /// `a if b else c`, the weakest of all.
  mutating func expression() throws -> TemplateExpression {
    try nested { parser in
      var value = try parser.either()
      while parser.takes("if") {
        let condition = try parser.either()
        let other = parser.takes("else") ? try parser.expression() : nil
        value = .conditional(value, if: condition, else: other)
        try parser.link()
      }
      return value
    }
  }

  /// `or`, and all that binds stronger: what may stand behind `in` of a loop.
  mutating func either() throws -> TemplateExpression {
    var value = try both()
    while takes("or") {
      value = .or(value, try both())
      try link()
    }
    return value
  }

  private mutating func both() throws -> TemplateExpression {
    var value = try negation()
    while takes("and") {
      value = .and(value, try negation())
      try link()
    }
    return value
  }

  private mutating func negation() throws -> TemplateExpression {
    guard takes("not") else { return try comparison() }
    return try nested { .not(try $0.negation()) }
  }

  private mutating func comparison() throws -> TemplateExpression {
    let first = try sum()
    var others: [(TemplateExpression.Comparison, TemplateExpression)] = []
    while let sign = takesComparison() { others.append((sign, try sum())) }
    return others.isEmpty ? first : .comparison(first, others)
  }

  private mutating func takesComparison() -> TemplateExpression.Comparison? {
    if case .sign(let sign)? = kind, let found = TemplateExpression.Comparison(rawValue: sign) {
      position += 1
      return found
    }
    if takes("in") { return .isIn }
    guard kind == .name("not"), kind(after: 1) == .name("in") else { return nil }
    position += 2
    return .isNotIn
  }

  private mutating func sum() throws -> TemplateExpression {
    try chain(["+", "-"]) { try $0.concatenation() }
  }

  private mutating func concatenation() throws -> TemplateExpression {
    try chain(["~"]) { try $0.product() }
  }

  private mutating func product() throws -> TemplateExpression {
    try chain(["*", "/", "//", "%"]) { try $0.power() }
  }

  private mutating func power() throws -> TemplateExpression {
    try chain(["**"]) { try $0.unary() }
  }

  private mutating func chain(
    _ signs: [String], _ operand: (inout TemplateParser) throws -> TemplateExpression
  ) throws -> TemplateExpression {
    var value = try operand(&self)
    while let sign = signs.first(where: { kind == .sign($0) }) {
      position += 1
      guard let operation = TemplateExpression.Arithmetic(rawValue: sign) else { break }
      let right = try operand(&self)
      if operation == .plus, isSafe(value) || isSafe(right) {
        throw problem(.subset, "adding to what \"safe\" gives, which escapes the rest, is not read")
      }
      value = .arithmetic(operation, value, right)
      try link()
    }
    return value
  }

  private func isSafe(_ value: TemplateExpression) -> Bool {
    if case .filter(_, "safe", _) = value { return true }
    return false
  }

  private mutating func unary(takesFilters: Bool = true) throws -> TemplateExpression {
    var value: TemplateExpression
    if takes(sign: "-") {
      value = try nested { .negative(try $0.unary(takesFilters: false)) }
    } else if takes(sign: "+") {
      value = try nested { .positive(try $0.unary(takesFilters: false)) }
    } else {
      value = try primary()
    }
    value = try postfixed(value)
    return takesFilters ? try filtered(value) : value
  }

  // MARK: What stands behind a value

  /// `.name`, `[…]`, `(…)`.
  private mutating func postfixed(_ base: TemplateExpression) throws -> TemplateExpression {
    var value = base
    while true {
      if takes(sign: ".") {
        value = try member(of: value)
      } else if takes(sign: "[") {
        value = try nested { try $0.subscripted(value) }
      } else if kind == .sign("(") {
        value = try call(value)
      } else {
        return value
      }
      try link()
    }
  }

  private mutating func member(of value: TemplateExpression) throws -> TemplateExpression {
    if case .int(let index)? = kind {
      position += 1
      return .item(value, .literal(.int(index)))
    }
    let name = try name()
    guard !name.hasPrefix("_") else {
      throw problem(.subset, "a name that begins with an underscore is not reached", found: name)
    }
    return .attribute(value, name)
  }

  private mutating func subscripted(_ value: TemplateExpression) throws -> TemplateExpression {
    var parts: [TemplateExpression?] = [nil]
    while !takes(sign: "]") {
      if takes(sign: ":") {
        parts.append(nil)
      } else {
        guard parts[parts.count - 1] == nil else { throw unexpected("]") }
        parts[parts.count - 1] = try expression()
      }
    }
    if parts.count == 1, let index = parts[0] { return .item(value, index) }
    guard (2...3).contains(parts.count) else { throw unexpected("an index") }
    return .slice(value, from: parts[0], to: parts[1], step: parts.count == 3 ? parts[2] : nil)
  }

  private mutating func call(_ callee: TemplateExpression) throws -> TemplateExpression {
    let arguments = try arguments()
    switch callee {
    case .name(let name): return .function(name, arguments)
    case .attribute(let value, let name): return .method(value, name, arguments)
    default: throw problem(.subset, "a call of what is neither function nor method")
    }
  }

  /// `(a, b, name=c)`.
  private mutating func arguments() throws -> TemplateArguments {
    try nested { parser in
      var arguments = TemplateArguments()
      try parser.take(sign: "(")
      while !parser.takes(sign: ")") {
        if case .name(let name)? = parser.kind, parser.kind(after: 1) == .sign("=") {
          parser.position += 2
          arguments.named.append((name, try parser.expression()))
        } else if parser.kind == .sign("*") || parser.kind == .sign("**") {
          throw parser.problem(.subset, "arguments unpacked by * are not read")
        } else {
          arguments.positional.append(try parser.expression())
        }
        if parser.kind != .sign(")") { try parser.take(sign: ",") }
      }
      return arguments
    }
  }

  /// `|name(…)` and `is name …`.
  private mutating func filtered(_ base: TemplateExpression) throws -> TemplateExpression {
    var value = base
    while true {
      if takes(sign: "|") {
        value = try filter(value)
      } else if takes("is") {
        value = try test(value)
      } else {
        return value
      }
      try link()
    }
  }

  mutating func filter(_ value: TemplateExpression) throws -> TemplateExpression {
    let name = try name()
    guard TemplateFilter(rawValue: name) != nil else {
      throw problem(.subset, "the filter \"\(name)\" is not read")
    }
    return .filter(value, name, kind == .sign("(") ? try arguments() : TemplateArguments())
  }

  private mutating func test(_ value: TemplateExpression) throws -> TemplateExpression {
    let isNegated = takes("not")
    let name = try name()
    guard TemplateTest(rawValue: name) != nil else {
      throw problem(.subset, "the test \"\(name)\" is not read")
    }
    var arguments = TemplateArguments()
    if kind == .sign("(") {
      arguments = try self.arguments()
    } else if beginsOperand {
      arguments.positional = [try nested { try $0.postfixed(try $0.primary()) }]
    }
    return .test(value, name, arguments, isNegated: isNegated)
  }

  /// Whether a test's argument without brackets begins here.
  private var beginsOperand: Bool {
    switch kind {
    case .int, .float, .text: true
    case .name(let name): !["else", "or", "and", "if", "is", "in", "not"].contains(name)
    case .sign(let sign): sign == "[" || sign == "{"
    case nil: false
    }
  }

  // MARK: Values

  private static let constants: [String: TemplateValue] = [
    "true": .bool(true), "True": .bool(true), "false": .bool(false), "False": .bool(false),
    "none": .none, "None": .none,
  ]

  private mutating func primary() throws -> TemplateExpression {
    guard let kind else { throw unexpected("a value") }
    position += 1
    switch kind {
    case .name(let name):
      if let value = Self.constants[name] { return .literal(value) }
      return .name(name)
    case .int(let value): return .literal(.int(value))
    case .float(let value): return .literal(.float(value))
    case .text(let text):
      var whole = text
      while case .text(let more)? = self.kind {
        whole += more
        position += 1
      }
      return .literal(.text(whole))
    case .sign("("): return try nested { try $0.bracketed() }
    case .sign("["): return try nested { .list(try $0.elements(until: "]"), isTuple: false) }
    case .sign("{"): return try nested { try $0.mapping() }
    case .sign:
      position -= 1
      throw unexpected("a value")
    }
  }

  private mutating func bracketed() throws -> TemplateExpression {
    if takes(sign: ")") { return .list([], isTuple: true) }
    let first = try expression()
    if takes(sign: ")") { return first }
    try take(sign: ",")
    return .list([first] + (try elements(until: ")")), isTuple: true)
  }

  private mutating func elements(until closer: String) throws -> [TemplateExpression] {
    var elements: [TemplateExpression] = []
    while !takes(sign: closer) {
      elements.append(try expression())
      if kind != .sign(closer) { try take(sign: ",") }
    }
    return elements
  }

  private mutating func mapping() throws -> TemplateExpression {
    var pairs: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !takes(sign: "}") {
      let key = try expression()
      try take(sign: ":")
      pairs.append((key, try expression()))
      if kind != .sign("}") { try take(sign: ",") }
    }
    return .mapping(pairs)
  }
}
