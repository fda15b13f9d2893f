/// One rendering of a template: its variables, its output, and the work that is left to it.
struct TemplateRun {
  let place: String
  /// What `strftime_now` answers with.
  let today: CalendarDay?
  private(set) var output: TemplateText = []
  private var scopes: [[String: TemplateValue]]
  private var macros: [String: TemplateStatement.Macro] = [:]
  private(set) var line = 1
  private var work: Int
  private var depth = 0

  /// Levels of expressions, bodies and macros in one another.
  private static let mostLevels = 400
  /// Levels of lists in lists.
  private static let mostValueLevels = 64

  init(
    variables: [String: TemplateValue], today: CalendarDay?, work: Int, at place: String
  ) {
    self.place = place
    self.today = today
    self.work = work
    scopes = [variables]
  }

  /// What became of a body.
  enum Ending { case reached, left, skipped }

  /// Takes `count` from the work that is left.
  mutating func spend(_ count: Int) throws {
    work -= count
    guard work >= 0 else {
      throw TemplateProblem(.limits, "the template does more work than its input justifies")
    }
  }

  mutating func deeper<Part>(_ run: (inout TemplateRun) throws -> Part) throws -> Part {
    guard depth < Self.mostLevels else {
      throw TemplateProblem(.limits, "more than \(Self.mostLevels) levels in one another")
    }
    depth += 1
    defer { depth -= 1 }
    return try run(&self)
  }

  /// A list of values that may stand in one; each costs work.
  mutating func list(_ items: [TemplateValue], isTuple: Bool = false) throws -> TemplateValue {
    try spend(items.count)
    for item in items { try check(item) }
    return .list(TemplateList(items, isTuple: isTuple))
  }

  func check(_ member: TemplateValue) throws {
    if case .namespace = member {
      throw TemplateProblem(.subset, "a namespace inside of another value is not read")
    }
    guard member.depth < Self.mostValueLevels else {
      throw TemplateProblem(.limits, "more than \(Self.mostValueLevels) lists in one another")
    }
  }

  // MARK: Names

  func value(of name: String) -> TemplateValue? {
    for scope in scopes.reversed() {
      if let value = scope[name] { return value }
    }
    return nil
  }

  func macro(_ name: String) -> TemplateStatement.Macro? { macros[name] }

  private mutating func set(_ target: TemplateStatement.Target, _ value: TemplateValue) throws {
    guard let attribute = target.attribute else {
      scopes[scopes.count - 1][target.name] = value
      return
    }
    guard case .namespace(let space)? = self.value(of: target.name) else {
      throw TemplateProblem(.value, "only a namespace has attributes to set", found: target.name)
    }
    try check(value)
    space.members[Array(attribute.unicodeScalars)] = value
  }

  // MARK: Statements

  /// Runs a template; a problem becomes a failure with its line.
  mutating func render(_ statements: [TemplateStatement]) throws -> TemplateText {
    do {
      _ = try run(statements)
      return output
    } catch let problem as TemplateProblem {
      throw problem.failure(at: place, line: line)
    }
  }

  private mutating func run(_ statements: [TemplateStatement]) throws -> Ending {
    for statement in statements {
      try spend(1)
      line = statement.line
      let ending = try deeper { try $0.run(statement) }
      guard ending == .reached else { return ending }
    }
    return .reached
  }

  private mutating func run(_ statement: TemplateStatement) throws -> Ending {
    switch statement.kind {
    case .text(let text): try write(text)
    case .output(let expression):
      let text = try text(of: evaluate(expression))
      line = statement.line
      try write(text)
    case .branch(let branches, let otherwise):
      for branch in branches where try evaluate(branch.condition).isTrue {
        return try run(branch.body)
      }
      return try run(otherwise)
    case .loop(let loop): try run(loop)
    case .assign(let targets, let expression):
      try assign(targets, try evaluate(expression))
    case .capture(let target, let body):
      let text = try capture { _ = try $0.run(body) }
      try set(target, .text(text))
    case .group(let body): return try run(body)
    case .macro(let name, let macro): macros[name] = macro
    case .leave: return .left
    case .skip: return .skipped
    }
    return .reached
  }

  private mutating func write(_ text: TemplateText) throws {
    try spend(text.count)
    output += text
  }

  /// The output of `run`, which does not go into the template's.
  private mutating func capture(_ run: (inout TemplateRun) throws -> Void) throws -> TemplateText {
    let outer = output
    output = []
    try run(&self)
    defer { output = outer }
    return output
  }

  private mutating func assign(
    _ targets: [TemplateStatement.Target], _ value: TemplateValue
  ) throws {
    if targets.count == 1 { return try set(targets[0], value) }
    for (target, part) in zip(targets, try parts(of: value, targets.count)) {
      try set(target, part)
    }
  }

  private mutating func parts(of value: TemplateValue, _ count: Int) throws -> [TemplateValue] {
    let parts = try items(of: value)
    guard parts.count == count else {
      throw TemplateProblem(
        .value, "\(count) names for another number of values", found: "\(parts.count)")
    }
    return parts
  }

  // MARK: Loops

  private mutating func run(_ loop: TemplateStatement.Loop) throws {
    var items = try items(of: try evaluate(loop.sequence))
    if let condition = loop.condition { items = try filtered(items, loop.targets, condition) }
    guard !items.isEmpty else {
      _ = try run(loop.otherwise)
      return
    }
    let outer = scopes.count
    defer { scopes.removeLast(scopes.count - outer) }
    for index in items.indices {
      scopes.append(try bound(loop.targets, items[index]))
      scopes[scopes.count - 1]["loop"] = loopState(items, index)
      let ending = try run(loop.body)
      scopes.removeLast()
      if ending == .left { break }
    }
  }

  private mutating func bound(
    _ targets: [String], _ value: TemplateValue
  ) throws -> [String: TemplateValue] {
    guard targets.count > 1 else { return [targets[0]: value] }
    let parts = try parts(of: value, targets.count)
    return Dictionary(zip(targets, parts)) { $1 }
  }

  private mutating func filtered(
    _ items: [TemplateValue], _ targets: [String], _ condition: TemplateExpression
  ) throws -> [TemplateValue] {
    try items.filter { item in
      scopes.append(try bound(targets, item))
      defer { scopes.removeLast() }
      return try evaluate(condition).isTrue
    }
  }

  /// What `loop` is in a turn.
  private func loopState(_ items: [TemplateValue], _ index: Int) -> TemplateValue {
    let members: KeyValuePairs<String, TemplateValue> = [
      "index": .int(index + 1), "index0": .int(index), "revindex": .int(items.count - index),
      "revindex0": .int(items.count - index - 1), "first": .bool(index == 0),
      "last": .bool(index == items.count - 1), "length": .int(items.count),
      "previtem": index > 0 ? items[index - 1] : .undefined("previtem"),
      "nextitem": index + 1 < items.count ? items[index + 1] : .undefined("nextitem"),
    ]
    var mapping = TemplateMapping()
    for (name, value) in members { mapping[Array(name.unicodeScalars)] = value }
    return .mapping(mapping)
  }

  // MARK: Macros

  /// The text that a macro makes of its arguments. It sees what stands outside of all loops.
  mutating func call(
    _ macro: TemplateStatement.Macro, _ positional: [TemplateValue],
    _ named: [String: TemplateValue]
  ) throws -> TemplateValue {
    guard positional.count <= macro.parameters.count,
      named.keys.allSatisfy({ name in macro.parameters.contains { $0.name == name } })
    else { throw TemplateProblem(.value, "a macro is called with arguments it does not take") }
    let outer = scopes
    scopes = [scopes[0], [:]]
    defer { scopes = outer }
    for (index, parameter) in macro.parameters.enumerated() {
      let given = index < positional.count ? positional[index] : named[parameter.name]
      scopes[1][parameter.name] =
        try given ?? parameter.standard.map { try evaluate($0) } ?? .undefined(parameter.name)
    }
    return .text(try capture { run in _ = try run.deeper { try $0.run(macro.body) } })
  }
}
