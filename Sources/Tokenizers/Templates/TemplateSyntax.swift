/// An expression of a template.
indirect enum TemplateExpression: Sendable {
  case literal(TemplateValue)
  case name(String)
  case list([TemplateExpression], isTuple: Bool)
  case mapping([(key: TemplateExpression, value: TemplateExpression)])
  case attribute(TemplateExpression, String)
  case item(TemplateExpression, TemplateExpression)
  case slice(
    TemplateExpression, from: TemplateExpression?, to: TemplateExpression?,
    step: TemplateExpression?)
  /// A function by its name.
  case function(String, TemplateArguments)
  case method(TemplateExpression, String, TemplateArguments)
  case filter(TemplateExpression, String, TemplateArguments)
  case test(TemplateExpression, String, TemplateArguments, isNegated: Bool)
  case not(TemplateExpression)
  case negative(TemplateExpression)
  case positive(TemplateExpression)
  case and(TemplateExpression, TemplateExpression)
  case or(TemplateExpression, TemplateExpression)
  /// Each neighbours are compared, as in Python's `a < b < c`.
  case comparison(TemplateExpression, [(Comparison, TemplateExpression)])
  case arithmetic(Arithmetic, TemplateExpression, TemplateExpression)
  case conditional(TemplateExpression, if: TemplateExpression, else: TemplateExpression?)

  enum Comparison: String, Sendable {
    case equal = "=="
    case unequal = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case isNotIn = "not in"
  }

  enum Arithmetic: String, Sendable {
    case plus = "+"
    case minus = "-"
    case times = "*"
    case over = "/"
    case wholeOver = "//"
    case remainder = "%"
    case power = "**"
    case concatenation = "~"
  }
}

struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
}

/// A statement of a template, and the line it begins in.
struct TemplateStatement: Sendable {
  let line: Int
  let kind: Kind

  indirect enum Kind: Sendable {
    case text(TemplateText)
    case output(TemplateExpression)
    case branch([(condition: TemplateExpression, body: [TemplateStatement])], [TemplateStatement])
    case loop(Loop)
    case assign([Target], TemplateExpression)
    /// `{% set name %}…{% endset %}`.
    case capture(Target, [TemplateStatement])
    /// `{% generation %}`, which only marks what a model says.
    case group([TemplateStatement])
    case macro(String, Macro)
    case leave
    case skip
  }

  /// A body that is called by name and gives the text it makes.
  struct Macro: Sendable {
    let parameters: [(name: String, standard: TemplateExpression?)]
    let body: [TemplateStatement]
  }

  struct Loop: Sendable {
    let targets: [String]
    let sequence: TemplateExpression
    let condition: TemplateExpression?
    let body: [TemplateStatement]
    let otherwise: [TemplateStatement]
  }

  /// A name, or an attribute of a namespace.
  struct Target: Sendable {
    let name: String
    let attribute: String?
  }
}
