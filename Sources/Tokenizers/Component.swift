internal import TensorCore

/// One object of a `tokenizer.json`, with the place that errors name.
struct Component {
  let place: String
  let object: JSONObject

  init(_ value: JSON, at place: String) throws {
    guard let object = value.object else {
      throw Failure.tokenizer(.fieldType, at: place, "not an object")
    }
    self.place = place
    self.object = object
  }

  /// The value of `key` where it is there and not null.
  func value(_ key: String) -> JSON? {
    object[key].flatMap { $0.isNull ? nil : $0 }
  }

  func place(of key: String) -> String { "\(place).\(key)" }

  func text(_ key: String) throws -> String {
    guard let text = try optionalText(key) else { throw missing(key, "a string") }
    return text
  }

  func optionalText(_ key: String) throws -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.string else { throw wrong(key, "a string") }
    return text
  }

  func flag(_ key: String, default standard: Bool) throws -> Bool {
    guard let value = value(key) else { return standard }
    guard let flag = value.bool else { throw wrong(key, "true or false") }
    return flag
  }

  /// A whole number from 0 to 2³¹ − 1.
  func count(_ key: String) throws -> Int {
    guard let value = value(key) else { throw missing(key, "a number") }
    guard let number = value.int, (0...Int(Int32.max)).contains(number) else {
      throw wrong(key, "a whole number from 0")
    }
    return number
  }

  func list(_ key: String) throws -> [JSON] {
    guard let value = value(key) else { throw missing(key, "a list") }
    guard let list = value.array else { throw wrong(key, "a list") }
    return list
  }

  func component(_ key: String) throws -> Component? {
    try value(key).map { try Component($0, at: place(of: key)) }
  }

  /// The members of a list as objects.
  func components(_ key: String) throws -> [Component] {
    try list(key).enumerated().map { try Component($1, at: "\(place(of: key))[\($0)]") }
  }

  /// The single scalar that `key` holds.
  func scalar(_ key: String) throws -> Unicode.Scalar {
    let scalars = try text(key).unicodeScalars
    guard let first = scalars.first, scalars.count == 1 else {
      throw wrong(key, "a single character")
    }
    return first
  }

  private func missing(_ key: String, _ expected: String) -> Failure {
    .tokenizer(.fieldType, at: place(of: key), "the field is missing", expected: expected)
  }

  private func wrong(_ key: String, _ expected: String) -> Failure {
    .tokenizer(.fieldType, at: place(of: key), "the field is of another type", expected: expected)
  }
}
