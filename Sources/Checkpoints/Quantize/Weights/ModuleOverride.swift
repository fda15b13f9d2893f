public import Codecs
import TensorCore

/// Other settings for some modules: `regex:bits=8,group_size=64,sym=false,desc_act=true`. The expression matches from
/// the start of a module's path, as GPTQModel's `dynamic` does.
public struct ModuleOverride: Sendable, Equatable {
  /// As it was typed.
  public let text: String
  public let modules: NamePattern
  public let bits: Int?
  public let groupSize: Int?
  public let symmetric: Bool?
  /// Whether GPTQ takes columns in order of their activations.
  public let actOrder: Bool?

  /// Throws `usage`.
  public init(parsing text: String) throws {
    guard let colon = text.lastIndex(of: ":"), colon > text.startIndex else {
      throw Self.failure("no expression and settings", found: text)
    }
    self.text = text
    modules = try NamePattern.typed(String(text[..<colon]), at: "--override")
    var values: [String: String] = [:]
    for setting in text[text.index(after: colon)...].split(separator: ",") {
      let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, values[parts[0]] == nil else {
        throw Self.failure("no setting", found: String(setting))
      }
      values[parts[0]] = parts[1]
    }
    bits = try Self.number(values.removeValue(forKey: "bits"))
    groupSize = try Self.number(values.removeValue(forKey: "group_size"))
    symmetric = try Self.truth("sym", values.removeValue(forKey: "sym"))
    actOrder = try Self.truth("desc_act", values.removeValue(forKey: "desc_act"))
    if let other = values.keys.sorted().first {
      throw Self.failure("no such setting", found: other)
    }
  }

  private static func number(_ text: String?) throws -> Int? {
    guard let text else { return nil }
    guard let number = Int(text) else { throw failure("no number", found: text) }
    return number
  }

  private static func truth(_ name: String, _ word: String?) throws -> Bool? {
    try word.map { word in
      guard let value = ["true": true, "false": false][word] else {
        throw failure("\(name) is true or false", found: word)
      }
      return value
    }
  }

  private static func failure(_ what: String, found: String) -> Failure {
    Failure(
      .usage, at: "--override", what,
      expected: "regex:bits=8,group_size=64,sym=true,desc_act=false",
      found: found)
  }

  /// All but the order of columns, which other options decide too.
  func applied(to base: Scheme.Settings) -> Scheme.Settings {
    var settings = base
    settings.bits = bits ?? settings.bits
    settings.groupSize = groupSize ?? settings.groupSize
    settings.symmetric = symmetric ?? settings.symmetric
    return settings
  }
}

extension NamePattern {
  /// A pattern that was typed behind an option. Throws `usage` where it is no expression, `unsupported`.
  public static func typed(_ text: String, at option: String) throws -> NamePattern {
    do {
      return try NamePattern(text, at: option)
    } catch var failure as Failure where failure.kind == .malformed {
      failure.kind = .usage
      throw failure
    }
  }
}
