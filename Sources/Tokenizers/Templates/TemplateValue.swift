/// A text inside a template: Python's strings are rows of scalars, and are compared and cut as such.
typealias TemplateText = [Unicode.Scalar]

/// What a template computes with: Python's values, without any object of the host.
enum TemplateValue: Sendable {
  /// A name that stands for nothing; it prints as nothing and is false.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case text(TemplateText)
  case list(TemplateList)
  case mapping(TemplateMapping)
  case namespace(TemplateNamespace)

  static func string(_ text: String) -> TemplateValue { .text(Array(text.unicodeScalars)) }

  /// Levels of lists and mappings in it.
  var depth: Int {
    switch self {
    case .list(let list): list.depth
    case .mapping(let mapping): mapping.depth
    default: 0
    }
  }

  /// What going through it costs: one for each value and each scalar in it.
  var weight: Int {
    switch self {
    case .text(let text): text.count + 1
    case .list(let list): list.weight
    case .mapping(let mapping): mapping.weight
    default: 1
    }
  }

  /// A sum that stops where no work would suffice: the same list may be in a list many times.
  static func sum(_ one: Int, _ other: Int) -> Int { min(one + other, Int.max / 4) }

  /// What Python calls the truth of a value.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .float(let value): value != 0
    case .text(let text): !text.isEmpty
    case .list(let list): !list.items.isEmpty
    case .mapping(let mapping): !mapping.keys.isEmpty
    case .namespace: true
    }
  }

  /// The value as a whole number; true and false count as 1 and 0, as in Python.
  var int: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  var double: Double? {
    if case .float(let value) = self { return value }
    return int.map(Double.init)
  }

  var text: TemplateText? { if case .text(let text) = self { text } else { nil } }

  /// What Python calls the type, for messages.
  var typeName: String {
    switch self {
    case .undefined: "undefined"
    case .none: "none"
    case .bool: "boolean"
    case .int: "integer"
    case .float: "float"
    case .text: "string"
    case .list(let list): list.isTuple ? "tuple" : "list"
    case .mapping: "mapping"
    case .namespace: "namespace"
    }
  }

  /// Python's `==`: numbers by value, lists and mappings by their members. O(size).
  func equals(_ other: TemplateValue) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): true
    case (.text(let left), .text(let right)): left == right
    case (.list(let left), .list(let right)):
      left.isTuple == right.isTuple && left.items.count == right.items.count
        && zip(left.items, right.items).allSatisfy { $0.equals($1) }
    case (.mapping(let left), .mapping(let right)):
      left.keys.count == right.keys.count
        && zip(left.keys, left.values).allSatisfy { right[$0]?.equals($1) ?? false }
    case (.namespace(let left), .namespace(let right)): left === right
    default:
      if let left = int, let right = other.int {
        left == right
      } else if let left = double,
        let right = other.double
      {
        left == right
      } else {
        false
      }
    }
  }
}

/// A list or tuple; it never changes.
struct TemplateList: Sendable {
  let items: [TemplateValue]
  let depth: Int
  let weight: Int
  let isTuple: Bool

  init(_ items: [TemplateValue], isTuple: Bool = false) {
    self.items = items
    self.isTuple = isTuple
    depth = 1 + items.reduce(0) { max($0, $1.depth) }
    weight = items.reduce(1) { TemplateValue.sum($0, $1.weight) }
  }
}

/// Values by key, in the order in which the keys came.
struct TemplateMapping: Sendable {
  private(set) var keys: [TemplateText] = []
  private(set) var values: [TemplateValue] = []
  private var positions: [TemplateText: Int] = [:]
  private(set) var depth = 1
  private(set) var weight = 1

  /// Sets a key that is there or appends it. O(key).
  subscript(key: TemplateText) -> TemplateValue? {
    get { positions[key].map { values[$0] } }
    set {
      guard let newValue else { return }
      depth = max(depth, newValue.depth + 1)
      weight = TemplateValue.sum(weight, TemplateValue.sum(newValue.weight, key.count + 1))
      if let position = positions[key] {
        values[position] = newValue
      } else {
        positions[key] = keys.count
        keys.append(key)
        values.append(newValue)
      }
    }
  }

  /// The members as tuples of key and value.
  var items: [TemplateValue] {
    zip(keys, values).map { .list(TemplateList([.text($0), $1], isTuple: true)) }
  }
}

/// The one thing that templates may change from inside of loops. It lives in one rendering, on
/// one thread.
final class TemplateNamespace: @unchecked Sendable {
  var members: TemplateMapping

  init(_ members: TemplateMapping) { self.members = members }
}
