internal import TensorCore

/// One word of an expression, and its line.
struct TemplateToken: Sendable {
  enum Kind: Sendable, Equatable {
    case name(String)
    case int(Int)
    case float(Double)
    case text(TemplateText)
    case sign(String)
  }

  let kind: Kind
  let line: Int

  /// What it looks like, for messages.
  var spelling: String {
    switch kind {
    case .name(let name): name
    case .int(let value): "\(value)"
    case .float(let value): "\(value)"
    case .text: "a string"
    case .sign(let sign): sign
    }
  }
}

/// Reads the words between two marks.
struct TemplateTokens {
  private let source: TemplateText
  private let place: String
  private(set) var index: Int
  private(set) var line: Int

  private static let longSigns = ["==", "!=", "<=", ">=", "//", "**"]
  private static let signs = "+-*/%~|()[]{}.,:=<>"

  init(_ source: TemplateText, _ index: Int, _ line: Int, at place: String) {
    self.source = source
    self.index = index
    self.line = line
    self.place = place
  }

  /// The words up to `closer` and `}`, and the sign before those.
  mutating func tokens(
    until closer: Unicode.Scalar
  ) throws -> (tokens: [TemplateToken], sign: Unicode.Scalar?) {
    var tokens: [TemplateToken] = []
    let opened = line
    var depth = 0
    while true {
      skipBlanks()
      guard index < source.count else {
        throw problem("an expression is not closed", line: opened)
      }
      if depth == 0, let sign = end(closer) { return (tokens, sign.character) }
      let token = try token()
      if case .sign(let sign) = token.kind {
        if "([{".contains(sign) { depth += 1 }
        if ")]}".contains(sign) { depth -= 1 }
      }
      tokens.append(token)
    }
  }

  /// The end of the expression where it stands here, passed over.
  private mutating func end(_ closer: Unicode.Scalar) -> (character: Unicode.Scalar?, Void)? {
    if peek(0) == closer, peek(1) == "}" {
      index += 2
      return (nil, ())
    }
    guard let sign = peek(0), sign == "-" || sign == "+" && closer == "%", peek(1) == closer,
      peek(2) == "}"
    else { return nil }
    index += 3
    return (sign, ())
  }

  private func peek(_ offset: Int) -> Unicode.Scalar? {
    index + offset < source.count ? source[index + offset] : nil
  }

  private mutating func skipBlanks() {
    while let scalar = peek(0), PythonText.isBlank(scalar) {
      if scalar == "\n" { line += 1 }
      index += 1
    }
  }

  private mutating func token() throws -> TemplateToken {
    let first = source[index]
    let start = line
    if first == "'" || first == "\"" {
      return TemplateToken(kind: .text(try string(first)), line: start)
    }
    if ("0"..."9").contains(first) { return TemplateToken(kind: try number(), line: start) }
    if first == "_" || first.properties.isAlphabetic {
      return TemplateToken(kind: .name(word { $0 == "_" || Self.isWord($0) }), line: start)
    }
    return TemplateToken(kind: .sign(try sign()), line: start)
  }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
  }

  private mutating func word(_ belongs: (Unicode.Scalar) -> Bool) -> String {
    var text = String.UnicodeScalarView()
    while let scalar = peek(0), belongs(scalar) {
      text.append(scalar)
      index += 1
    }
    return String(text)
  }

  private mutating func sign() throws -> String {
    if let next = peek(1) {
      let pair = String(String.UnicodeScalarView([source[index], next]))
      if Self.longSigns.contains(pair) {
        index += 2
        return pair
      }
    }
    let sign = String(source[index])
    guard Self.signs.contains(sign) else {
      throw problem("a character that belongs to no expression", found: sign)
    }
    index += 1
    return sign
  }

  private mutating func number() throws -> TemplateToken.Kind {
    var text = word { ("0"..."9").contains($0) || $0 == "_" }
    var isReal = false
    if peek(0) == ".", let digit = peek(1), ("0"..."9").contains(digit) {
      index += 1
      text += "." + word { ("0"..."9").contains($0) }
      isReal = true
    }
    if peek(0) == "e" || peek(0) == "E" {
      index += 1
      let sign = word { $0 == "-" || $0 == "+" }
      text += "e" + sign + word { ("0"..."9").contains($0) }
      isReal = true
    }
    if isReal, let value = Double(text.filter { $0 != "_" }), value.isFinite {
      return .float(value)
    }
    guard let value = Int(text.filter { $0 != "_" }) else {
      throw problem("not a number that is read", found: text)
    }
    return .int(value)
  }

  /// A string up to its quote, with Python's escapes.
  private mutating func string(_ quote: Unicode.Scalar) throws -> TemplateText {
    let opened = line
    var text: TemplateText = []
    index += 1
    while let scalar = peek(0), scalar != quote {
      index += 1
      if scalar == "\n" { line += 1 }
      if scalar == "\\" { try escape(&text) } else { text.append(scalar) }
    }
    guard index < source.count else { throw problem("a string is not closed", line: opened) }
    index += 1
    return text
  }

  private static let escapes: [Unicode.Scalar: Unicode.Scalar] = [
    "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}",
    "b": "\u{8}", "f": "\u{C}", "v": "\u{B}", "0": "\0",
  ]
  private static let widths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]

  private mutating func escape(_ text: inout TemplateText) throws {
    guard let kind = peek(0) else { return }
    index += 1
    if let scalar = Self.escapes[kind] { return text.append(scalar) }
    if kind == "\n" {
      line += 1
      return
    }
    guard let width = Self.widths[kind] else {
      text += ["\\", kind]
      return
    }
    let digits = source[min(index, source.count)..<min(index + width, source.count)]
    guard digits.count == width,
      let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16),
      let scalar = Unicode.Scalar(value)
    else { throw problem("not an escape that is read", found: "\\\(kind)") }
    text.append(scalar)
    index += width
  }

  private func problem(_ what: String, found: String? = nil, line: Int? = nil) -> Failure {
    TemplateProblem(.syntax, what, found: found).failure(at: place, line: line ?? self.line)
  }
}
