/// Reads the statements of a template.
///
/// Every level that reading or running recurses into is counted, so no template is too deep for
/// the stack.
struct TemplateParser {
  private let place: String
  private let segments: [(line: Int, segment: TemplateLexer.Segment)]
  private var next = 0
  private var tokens: [TemplateToken] = []
  var position = 0
  private var line = 1
  private var depth = 0

  private static let mostLevels = 64
  private static let mostLinks = 256
  private var links = 0

  init(_ source: String, at place: String) throws {
    self.place = place
    var lexer = TemplateLexer(source, at: place)
    segments = try lexer.segmented()
  }

  /// The whole template. Throws `malformed` for what is not in the grammar, `unsupported` for what
  /// is not in the subset.
  mutating func statements() throws -> [TemplateStatement] {
    let (body, _) = try body(until: [])
    return body
  }

  // MARK: Words

  var kind: TemplateToken.Kind? { kind(after: 0) }

  func kind(after count: Int) -> TemplateToken.Kind? {
    position + count < tokens.count ? tokens[position + count].kind : nil
  }

  mutating func takes(_ name: String) -> Bool {
    guard kind == .name(name) else { return false }
    position += 1
    return true
  }

  mutating func takes(sign: String) -> Bool {
    guard kind == .sign(sign) else { return false }
    position += 1
    return true
  }

  mutating func take(sign: String) throws {
    guard takes(sign: sign) else { throw unexpected("\"\(sign)\"") }
  }

  mutating func name() throws -> String {
    guard case .name(let name)? = kind else { throw unexpected("a name") }
    position += 1
    return name
  }

  /// Reads something one level deeper.
  mutating func nested<Part>(_ read: (inout TemplateParser) throws -> Part) throws -> Part {
    guard depth < Self.mostLevels else {
      throw problem(.limits, "more than \(Self.mostLevels) levels in one another")
    }
    depth += 1
    defer { depth -= 1 }
    return try read(&self)
  }

  /// Counts a link of a row such as `a + b + c`, which is as deep as it is long; no tag has more
  /// than 256.
  mutating func link() throws {
    links += 1
    guard links <= Self.mostLinks else {
      throw problem(.limits, "more than \(Self.mostLinks) operations in one tag")
    }
  }

  func problem(_ rule: TemplateRule, _ what: String, found: String? = nil) -> any Error {
    let here = position < tokens.count ? tokens[position].line : tokens.last?.line ?? line
    return TemplateProblem(rule, what, found: found).failure(at: place, line: here)
  }

  func unexpected(_ expected: String) -> any Error {
    let found = position < tokens.count ? tokens[position].spelling : "the end"
    return problem(.syntax, "not what can stand here, which is \(expected)", found: found)
  }

  // MARK: Statements

  /// Statements up to one of the tags `ends`, whose words stay to be read behind the tag.
  private mutating func body(
    until ends: [String]
  ) throws -> (statements: [TemplateStatement], end: String) {
    let opened = line
    var statements: [TemplateStatement] = []
    while next < segments.count {
      let (line, segment) = segments[next]
      next += 1
      self.line = line
      switch segment {
      case .text(let text): statements.append(TemplateStatement(line: line, kind: .text(text)))
      case .output(let words):
        begin(words)
        let value = try expression()
        try finish()
        statements.append(TemplateStatement(line: line, kind: .output(value)))
      case .statement(let words):
        begin(words)
        let tag = try name()
        if ends.contains(tag) { return (statements, tag) }
        let kind = try nested { try $0.statement(tag) }
        statements.append(TemplateStatement(line: line, kind: kind))
      }
    }
    guard ends.isEmpty else {
      throw TemplateProblem(.syntax, "a tag is not closed by \(ends.joined(separator: " or "))")
        .failure(at: place, line: opened)
    }
    return (statements, "")
  }

  private mutating func begin(_ words: [TemplateToken]) {
    tokens = words
    position = 0
    links = 0
  }

  private func finish() throws {
    guard position == tokens.count else { throw unexpected("the end") }
  }

  private mutating func statement(_ tag: String) throws -> TemplateStatement.Kind {
    switch tag {
    case "if": return try branch()
    case "for": return try loop()
    case "set": return try assignment()
    case "macro": return try macro()
    case "generation":
      try finish()
      return .group(try closedBody("endgeneration"))
    case "break", "continue":
      try finish()
      return tag == "break" ? .leave : .skip
    default:
      position -= 1
      guard !tag.hasPrefix("end"), tag != "else", tag != "elif" else {
        throw problem(.syntax, "a tag without its beginning", found: tag)
      }
      throw problem(.subset, "the tag \"\(tag)\" is not read")
    }
  }

  private mutating func closedBody(_ end: String) throws -> [TemplateStatement] {
    let (statements, _) = try body(until: [end])
    try finish()
    return statements
  }

  private mutating func branch() throws -> TemplateStatement.Kind {
    var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
    var otherwise: [TemplateStatement] = []
    var tag = "elif"
    while tag == "elif" {
      let condition = try expression()
      try finish()
      let part = try body(until: ["elif", "else", "endif"])
      branches.append((condition, part.statements))
      tag = part.end
    }
    try finish()
    if tag == "else" { otherwise = try closedBody("endif") }
    return .branch(branches, otherwise)
  }

  private mutating func loop() throws -> TemplateStatement.Kind {
    var targets = [try name()]
    while takes(sign: ",") { targets.append(try name()) }
    guard takes("in") else { throw unexpected("in") }
    let sequence = try either()
    let condition = takes("if") ? try expression() : nil
    if kind == .name("recursive") { throw problem(.subset, "recursive loops are not read") }
    try finish()
    let part = try body(until: ["else", "endfor"])
    try finish()
    let otherwise = part.end == "else" ? try closedBody("endfor") : []
    return .loop(
      TemplateStatement.Loop(
        targets: targets, sequence: sequence, condition: condition, body: part.statements,
        otherwise: otherwise))
  }

  private mutating func target() throws -> TemplateStatement.Target {
    let name = try name()
    return TemplateStatement.Target(name: name, attribute: takes(sign: ".") ? try self.name() : nil)
  }

  private mutating func assignment() throws -> TemplateStatement.Kind {
    var targets = [try target()]
    while takes(sign: ",") { targets.append(try target()) }
    if takes(sign: "=") {
      var value = try expression()
      if kind == .sign(",") {
        var values = [value]
        while takes(sign: ",") { values.append(try expression()) }
        value = .list(values, isTuple: true)
      }
      try finish()
      return .assign(targets, value)
    }
    guard targets.count == 1 else { throw unexpected("=") }
    if kind == .sign("|") { throw problem(.subset, "filters of a set block are not read") }
    try finish()
    return .capture(targets[0], try closedBody("endset"))
  }

  private mutating func macro() throws -> TemplateStatement.Kind {
    let name = try name()
    var parameters: [(name: String, standard: TemplateExpression?)] = []
    try take(sign: "(")
    while !takes(sign: ")") {
      let parameter = try self.name()
      parameters.append((parameter, takes(sign: "=") ? try expression() : nil))
      if kind != .sign(")") { try take(sign: ",") }
    }
    try finish()
    return .macro(
      name, TemplateStatement.Macro(parameters: parameters, body: try closedBody("endmacro")))
  }
}
