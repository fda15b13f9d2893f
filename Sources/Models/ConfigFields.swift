internal import Kernels
internal import TensorCore

/// The fields of a `config.json`, read with checks: a field of another kind or out of range is
/// `malformed`, one that is needed and absent too.
struct ConfigFields {
  let object: JSONObject
  /// The file, for messages.
  let path: String

  /// Sizes beyond it have no model, and products of two of them fit.
  private static let largest = 1 << 28

  /// A field that is there and not null.
  func value(_ key: String) -> JSON? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  /// A size: a whole number from 1 on. Without `fallback` it must be there.
  func size(_ key: String, _ fallback: Int? = nil) throws -> Int {
    guard let size = try optionalSize(key) ?? fallback else { throw missing(key) }
    return size
  }

  func optionalSize(_ key: String) throws -> Int? {
    guard let value = value(key) else { return nil }
    guard let size = value.int ?? value.double.flatMap({ Int(exactly: $0) }),
      (1...Self.largest).contains(size)
    else { throw wrong(key, value, expected: "a whole number from 1 to \(Self.largest)") }
    return size
  }

  /// A whole number from 0 on.
  func count(_ key: String, _ fallback: Int) throws -> Int {
    guard let value = value(key) else { return fallback }
    guard let count = value.int, (0...Self.largest).contains(count) else {
      throw wrong(key, value, expected: "a whole number from 0 to \(Self.largest)")
    }
    return count
  }

  func number(_ key: String, _ fallback: Double? = nil) throws -> Double {
    guard let number = try optionalNumber(key) ?? fallback else { throw missing(key) }
    return number
  }

  func optionalNumber(_ key: String) throws -> Double? {
    guard let value = value(key) else { return nil }
    guard let number = value.double, number.isFinite else {
      throw wrong(key, value, expected: "a number")
    }
    return number
  }

  /// A number above 0.
  func optionalPositive(_ key: String) throws -> Double? {
    guard let number = try optionalNumber(key) else { return nil }
    guard number > 0 else { throw wrong(key, .real(number), expected: "a number above 0") }
    return number
  }

  func numbers(_ key: String, count: Int) throws -> [Double] {
    guard let value = value(key) else { throw missing(key) }
    guard let numbers = value.array?.compactMap(\.double), numbers.count == count,
      numbers.allSatisfy({ $0.isFinite && $0 > 0 })
    else { throw wrong(key, value, expected: "\(count) numbers above 0") }
    return numbers
  }

  func flag(_ key: String, _ fallback: Bool) throws -> Bool {
    guard let value = value(key) else { return fallback }
    guard let flag = value.bool else { throw wrong(key, value, expected: "true or false") }
    return flag
  }

  func text(_ key: String) throws -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.string else { throw wrong(key, value, expected: "a text") }
    return text
  }

  func texts(_ key: String) throws -> [String]? {
    guard let value = value(key) else { return nil }
    guard let array = value.array, array.allSatisfy({ $0.string != nil }) else {
      throw wrong(key, value, expected: "a list of texts")
    }
    return array.compactMap(\.string)
  }

  /// The fields of an object inside of this one.
  func nested(_ key: String) throws -> ConfigFields? {
    guard let value = value(key) else { return nil }
    guard let object = value.object else { throw wrong(key, value, expected: "an object") }
    return ConfigFields(object: object, path: "\(path): \(key)")
  }

  /// The activation by the peers' names.
  func activation(_ keys: [String], _ fallback: String) throws -> Activation {
    let key = keys.first { value($0) != nil } ?? keys[0]
    let name = try text(key) ?? fallback
    guard let activation = Self.activations[name] else {
      throw Failure(
        .unsupported, at: path, "\"\(key)\" is an activation that is not known",
        expected: Self.activations.keys.sorted().joined(separator: ", "), found: name)
    }
    return activation
  }

  private static let activations: [String: Activation] = [
    "relu": .relu, "silu": .silu, "swish": .silu, "gelu": .gelu, "gelu_new": .geluTanh,
    "gelu_fast": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "quick_gelu": .quickGelu,
  ]

  func missing(_ key: String) -> Failure {
    Failure(
      .malformed, at: path, "a field of the config is missing", expected: "\"\(key)\"",
      found: "none")
  }

  func wrong(_ key: String, _ value: JSON, expected: String) -> Failure {
    let text = value.text()
    let found = text.utf8.count > 60 ? String(text.prefix(60)) + "…" : text
    return Failure(
      .malformed, at: path, "\"\(key)\" of the config", expected: expected, found: found)
  }

  /// `part` must divide `whole`.
  func divide(_ whole: Int, _ wholeKey: String, by part: Int, _ partKey: String) throws -> Int {
    guard whole % part == 0 else {
      throw Failure(
        .malformed, at: path, "\"\(wholeKey)\" is no multiple of \"\(partKey)\"",
        expected: "a multiple of \(part)", found: "\(whole)")
    }
    return whole / part
  }
}
