extension TemplateRun {
  /// The value of an expression. Every part costs work and a level.
  mutating func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
    try spend(1)
    return try deeper { try $0.evaluated(expression) }
  }

  private mutating func evaluated(_ expression: TemplateExpression) throws -> TemplateValue {
    switch expression {
    case .literal(let value): return value
    case .name(let name): return value(of: name) ?? .undefined(name)
    case .list(let elements, let isTuple):
      return try list(try elements.map { try evaluate($0) }, isTuple: isTuple)
    case .mapping(let pairs): return try mapping(pairs)
    case .attribute(let base, let name): return try attribute(name, of: try evaluate(base))
    case .item(let base, let index):
      return try item(try evaluate(index), of: try evaluate(base))
    case .slice(let base, let from, let to, let step):
      return try slice(
        try evaluate(base), try from.map { try evaluate($0) },
        try to.map { try evaluate($0) }, try step.map { try evaluate($0) })
    case .function(let name, let arguments): return try function(name, arguments)
    case .method(let base, let name, let arguments):
      let value = try evaluate(base)
      return try method(name, of: value, try values(arguments))
    case .filter(let base, let name, let arguments):
      let value = try evaluate(base)
      return try filter(name, value, try values(arguments))
    case .test(let base, let name, let arguments, let isNegated):
      return .bool(try test(name, base, arguments) != isNegated)
    default: return try operation(expression)
    }
  }

  private mutating func operation(_ expression: TemplateExpression) throws -> TemplateValue {
    switch expression {
    case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
    case .negative(let operand):
      return try arithmetic(.minus, .int(0), try evaluate(operand))
    case .positive(let operand): return try arithmetic(.plus, .int(0), try evaluate(operand))
    case .and(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? try evaluate(right) : value
    case .or(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? value : try evaluate(right)
    case .comparison(let first, let others): return try comparison(first, others)
    case .arithmetic(let sign, let left, let right):
      return try arithmetic(sign, try evaluate(left), try evaluate(right))
    case .conditional(let value, let condition, let other):
      if try evaluate(condition).isTrue { return try evaluate(value) }
      return try other.map { try evaluate($0) } ?? .undefined("a conditional without else")
    default: throw TemplateProblem(.syntax, "an expression that has no value")
    }
  }

  private mutating func mapping(
    _ pairs: [(key: TemplateExpression, value: TemplateExpression)]
  ) throws -> TemplateValue {
    var mapping = TemplateMapping()
    for pair in pairs {
      guard let key = try evaluate(pair.key).text else {
        throw TemplateProblem(.subset, "keys that are no strings are not read")
      }
      let value = try evaluate(pair.value)
      try check(value)
      mapping[key] = value
    }
    return .mapping(mapping)
  }

  private mutating func comparison(
    _ first: TemplateExpression, _ others: [(TemplateExpression.Comparison, TemplateExpression)]
  ) throws -> TemplateValue {
    var left = try evaluate(first)
    for (sign, operand) in others {
      let right = try evaluate(operand)
      guard try holds(left, sign, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  // MARK: Members

  /// `value.name` where it is no call.
  func attribute(_ name: String, of value: TemplateValue) throws -> TemplateValue {
    switch value {
    case .mapping(let mapping):
      if let member = mapping[Array(name.unicodeScalars)] { return member }
      guard TemplateMethod(rawValue: name) == nil else {
        throw TemplateProblem(.subset, "a method that is not called is not read", found: name)
      }
      return .undefined(name)
    case .namespace(let space):
      return space.members[Array(name.unicodeScalars)] ?? .undefined(name)
    case .undefined(let base):
      throw TemplateProblem(.value, "\"\(name)\" of \"\(base)\", which is undefined")
    default: return .undefined(name)
    }
  }

  /// `value[index]`.
  func item(_ index: TemplateValue, of value: TemplateValue) throws -> TemplateValue {
    switch (value, index) {
    case (.mapping, .text(let key)), (.namespace, .text(let key)):
      let members: TemplateMapping =
        switch value {
        case .mapping(let mapping): mapping
        case .namespace(let space): space.members
        default: TemplateMapping()
        }
      return members[key] ?? .undefined(PythonText.string(key))
    case (.undefined(let base), _):
      throw TemplateProblem(.value, "an item of \"\(base)\", which is undefined")
    case (.list(let list), _):
      guard let index = index.int else { return .undefined("item") }
      return Self.position(index, list.items.count).map { list.items[$0] } ?? .undefined("item")
    case (.text(let text), _):
      guard let index = index.int else { return .undefined("item") }
      return Self.position(index, text.count).map { .text([text[$0]]) } ?? .undefined("item")
    default: return .undefined("item")
    }
  }

  /// Counted from the end where it is negative; nil where nothing stands there.
  private static func position(_ index: Int, _ count: Int) -> Int? {
    let position = index < 0 ? index &+ count : index
    return (0..<count).contains(position) ? position : nil
  }

  private mutating func slice(
    _ value: TemplateValue, _ from: TemplateValue?, _ to: TemplateValue?, _ step: TemplateValue?
  ) throws -> TemplateValue {
    func number(_ value: TemplateValue?) throws -> Int? {
      guard let value else { return nil }
      if case .none = value { return nil }
      guard let number = value.int else {
        throw TemplateProblem(.value, "an end of a slice that is no number", found: value.typeName)
      }
      return number
    }
    let bounds = (try number(from), try number(to), try number(step) ?? 1)
    switch value {
    case .text(let text):
      let positions = try Self.positions(bounds, text.count)
      try spend(positions.count)
      return .text(positions.map { text[$0] })
    case .list(let list):
      let positions = try Self.positions(bounds, list.items.count)
      return try self.list(positions.map { list.items[$0] }, isTuple: list.isTuple)
    default:
      throw TemplateProblem(.value, "a slice of what has no order", found: value.typeName)
    }
  }

  /// The positions that Python's `[from:to:step]` takes of `count`.
  private static func positions(
    _ bounds: (from: Int?, to: Int?, step: Int), _ count: Int
  ) throws -> [Int] {
    let step = bounds.step
    guard step != 0, step.magnitude <= Int.max / 2 else {
      throw TemplateProblem(.value, "a slice with this step", found: "\(step)")
    }
    let limits = step > 0 ? 0...count : -1...count - 1
    func clamped(_ bound: Int?, _ standard: Int) -> Int {
      guard let bound else { return standard }
      let position = bound < 0 ? bound &+ count : bound
      return min(max(position, limits.lowerBound), limits.upperBound)
    }
    let from = clamped(bounds.from, step > 0 ? 0 : count - 1)
    let to = clamped(bounds.to, step > 0 ? count : -1)
    return Array(stride(from: from, to: to, by: step))
  }

  /// What a loop goes through: members, keys, or the scalars of a text.
  mutating func items(of value: TemplateValue) throws -> [TemplateValue] {
    let items: [TemplateValue]
    switch value {
    case .list(let list): items = list.items
    case .mapping(let mapping): items = mapping.keys.map(TemplateValue.text)
    case .text(let text): items = text.map { .text([$0]) }
    case .undefined: items = []
    default: throw TemplateProblem(.value, "nothing to go through", found: value.typeName)
    }
    try spend(items.count)
    return items
  }

  // MARK: Arguments

  mutating func values(_ arguments: TemplateArguments) throws -> TemplateCall {
    var call = TemplateCall()
    for argument in arguments.positional { call.positional.append(try evaluate(argument)) }
    for argument in arguments.named { call.named[argument.name] = try evaluate(argument.value) }
    return call
  }
}

/// The values a function, method or filter is called with.
struct TemplateCall {
  var positional: [TemplateValue] = []
  var named: [String: TemplateValue] = [:]

  var count: Int { positional.count + named.count }

  /// The argument at a position or by its name.
  func value(_ position: Int, _ name: String) -> TemplateValue? {
    position < positional.count ? positional[position] : named[name]
  }

  func text(_ position: Int, _ name: String) throws -> TemplateText? {
    guard let value = value(position, name) else { return nil }
    if case .none = value { return nil }
    guard let text = value.text else {
      throw TemplateProblem(.value, "\"\(name)\" is not a string", found: value.typeName)
    }
    return text
  }

  func int(_ position: Int, _ name: String) throws -> Int? {
    guard let value = value(position, name) else { return nil }
    guard let number = value.int else {
      throw TemplateProblem(.value, "\"\(name)\" is not a whole number", found: value.typeName)
    }
    return number
  }
}
