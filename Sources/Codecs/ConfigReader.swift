import TensorCore

/// Typed access to a config object: an absent or null key is nil, a wrong type is an error.
struct ConfigReader {
  /// The rules a dialect's page gives to types and to values that are not read.
  struct Rules {
    let type: String
    let support: String
  }

  let object: JSONObject
  let place: String
  let rules: Rules

  init(_ object: JSONObject, at place: String, rules: Rules) {
    self.object = object
    self.place = place
    self.rules = rules
  }

  func int(_ keys: [String]) throws -> Int? {
    try value(keys, "a whole number", \.int)
  }

  func bool(_ keys: [String]) throws -> Bool? {
    try value(keys, "true or false", \.bool)
  }

  func string(_ keys: [String]) throws -> String? {
    try value(keys, "a string", \.string)
  }

  /// The first of several spellings of one key.
  private func value<T>(
    _ keys: [String], _ expected: String, _ read: (JSON) -> T?
  ) throws -> T? {
    for key in keys {
      guard let json = object[key], !json.isNull else { continue }
      guard let value = read(json) else { throw wrongType(key, expected) }
      return value
    }
    return nil
  }

  /// The program that packed the file, lower-case with its version, where the config says.
  var writer: String? {
    if let version = object["autoround_version"]?.string { return "auto-round:\(version)" }
    return quantizers.first
  }

  /// The program before the last one, where the config names several.
  var quantizer: String? { quantizers.dropFirst().first }

  private var quantizers: [String] {
    guard let names = object["meta"]?["quantizer"] else { return [] }
    return (names.array ?? [names]).compactMap { $0.string?.lowercased() }
  }

  func wrongType(_ key: String, _ expected: String) -> Failure {
    Failure(
      .malformed, at: place, "the key \(key)", expected: expected,
      found: object[key]?.text() ?? "nothing", rule: rules.type)
  }

  func unsupported(_ what: String) -> Failure {
    Failure(
      .unsupported, at: place, "\(what) is not read by this version", rule: rules.support)
  }
}

extension Scheme {
  /// `meta` of a config: who packed the file, then who quantized. GPTQModel loads an asymmetric
  /// version 1 file only where it finds itself among them. Behind them what is told of how.
  var meta: JSON? {
    let programs = [writer, quantizer].compactMap(\.self)
    guard !programs.isEmpty else { return nil }
    var meta = JSONObject(["quantizer": .strings(programs)])
    for member in details.members { meta[member.key] = member.value }
    return .object(meta)
  }
}
