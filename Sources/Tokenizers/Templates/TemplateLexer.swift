internal import TensorCore

/// A template cut into text, outputs and statements, with blanks taken away as `trim_blocks` and
/// `lstrip_blocks` and the signs beside the marks say.
struct TemplateLexer {
  enum Segment {
    case text(TemplateText)
    /// `{{ … }}`.
    case output([TemplateToken])
    /// `{% … %}`.
    case statement([TemplateToken])
  }

  private let source: TemplateText
  private let place: String
  private var index = 0
  private var line = 1
  private var startsLine = true
  private var segments: [(line: Int, segment: Segment)] = []

  /// Line ends become line feeds and one at the very end goes, as in Jinja.
  init(_ source: String, at place: String) {
    var scalars: TemplateText = []
    var last: Unicode.Scalar?
    for scalar in source.unicodeScalars {
      defer { last = scalar }
      if scalar == "\n", last == "\r" { continue }
      scalars.append(scalar == "\r" ? "\n" : scalar)
    }
    if scalars.last == "\n" { scalars.removeLast() }
    self.source = scalars
    self.place = place
  }

  /// O(n). Throws `malformed` for what is not closed and for characters that are in no token.
  mutating func segmented() throws -> [(line: Int, segment: Segment)] {
    var text: TemplateText = []
    while index < source.count {
      guard source[index] == "{", let mark = peek(1), "{%#".unicodeScalars.contains(mark) else {
        text.append(take())
        continue
      }
      let sign = peek(2)
      strip(&text, mark, sign)
      add(text)
      text = []
      index += sign == "-" || sign == "+" && mark != "{" ? 3 : 2
      try readInside(mark)
    }
    add(text)
    return segments
  }

  private func peek(_ offset: Int) -> Unicode.Scalar? {
    index + offset < source.count ? source[index + offset] : nil
  }

  private mutating func take() -> Unicode.Scalar {
    defer { index += 1 }
    if source[index] == "\n" { line += 1 }
    return source[index]
  }

  private mutating func add(_ text: TemplateText) {
    if !text.isEmpty { segments.append((line, .text(text))) }
  }

  /// Takes blanks from the end of the text before a mark: all for `-`, and those of the line before
  /// statements and comments that begin one.
  private func strip(_ text: inout TemplateText, _ mark: Unicode.Scalar, _ sign: Unicode.Scalar?) {
    if sign == "-" {
      while let last = text.last, PythonText.isBlank(last) { text.removeLast() }
      return
    }
    guard mark != "{", sign != "+" else { return }
    let start = text.lastIndex(of: "\n").map { $0 + 1 } ?? 0
    guard start > 0 || startsLine, text[start...].allSatisfy(PythonText.isBlank) else { return }
    text.removeSubrange(start...)
  }

  private mutating func readInside(_ mark: Unicode.Scalar) throws {
    let opened = line
    if mark == "#" {
      while !(peek(0) == "#" && peek(1) == "}") {
        guard index < source.count else { throw unclosed("a comment", opened) }
        _ = take()
      }
      let isTight = source[index - 1] == "-"
      index += 2
      return finish(isTight: isTight, trims: !isTight && source[index - 3] != "+")
    }
    var reader = TemplateTokens(source, index, line, at: place)
    let (tokens, sign) = try reader.tokens(until: mark == "{" ? "}" : "%")
    (index, line) = (reader.index, reader.line)
    segments.append((opened, mark == "{" ? .output(tokens) : .statement(tokens)))
    finish(isTight: sign == "-", trims: mark == "%" && sign != "+")
  }

  /// Passes what goes behind a closing mark.
  private mutating func finish(isTight: Bool, trims: Bool) {
    startsLine = false
    if isTight {
      while let scalar = peek(0), PythonText.isBlank(scalar) { startsLine = take() == "\n" }
    } else if trims, peek(0) == "\n" {
      _ = take()
      startsLine = true
    }
  }

  private func unclosed(_ what: String, _ line: Int) -> Failure {
    TemplateProblem(.syntax, "\(what) is not closed").failure(at: place, line: line)
  }
}
