internal import TensorCore

/// A quantization config without its dialect: what holds by default, for which modules something
/// else holds, and which stay dense.
public struct Scheme: Sendable, Equatable {
  /// How one module is quantized.
  public struct Settings: Sendable, Equatable {
    public var bits: Int
    /// Columns that share a scale; -1 for whole rows.
    public var groupSize: Int
    public var symmetric: Bool
    /// Whether columns were quantized in order of their activations.
    public var actOrder: Bool

    public init(bits: Int, groupSize: Int, symmetric: Bool, actOrder: Bool = false) {
      self.bits = bits
      self.groupSize = groupSize
      self.symmetric = symmetric
      self.actOrder = actOrder
    }
  }

  /// A rule for some modules; the first that matches wins.
  public struct Override: Sendable, Equatable {
    public var modules: ModulePattern
    /// nil leaves the modules dense.
    public var settings: Settings?

    public init(_ modules: ModulePattern, _ settings: Settings?) {
      self.modules = modules
      self.settings = settings
    }
  }

  /// The layout the config names, by the name of its codec.
  public var layout: String
  public var defaults: Settings
  public var overrides: [Override]
  /// Whether the config says that `lm_head` is quantized.
  public var quantizesHead: Bool
  /// The program that packed the file, lower-case with its version, where the config says.
  public var writer: String?
  /// The program that chose the codes, where another has packed them since.
  public var quantizer: String?

  public init(
    layout: String, defaults: Settings, overrides: [Override] = [], quantizesHead: Bool = false,
    writer: String? = nil, quantizer: String? = nil
  ) {
    self.layout = layout
    self.defaults = defaults
    self.overrides = overrides
    self.quantizesHead = quantizesHead
    self.writer = writer
    self.quantizer = quantizer
  }

  /// The rules of the config, ready to be asked about many modules.
  public func rules() -> SchemeRules { SchemeRules(self) }
}

/// A scheme with its patterns compiled.
public struct SchemeRules {
  private let scheme: Scheme
  private let overrides: [(matches: (String) -> Bool, settings: Scheme.Settings?)]

  init(_ scheme: Scheme) {
    self.scheme = scheme
    overrides = scheme.overrides.map { ($0.modules.matcher(), $0.settings) }
  }

  /// How a module is quantized; nil where it is to stay dense. The first rule that matches wins.
  public func settings(for module: String) -> Scheme.Settings? {
    for override in overrides where override.matches(module) { return override.settings }
    if !scheme.quantizesHead && module.split(separator: ".").last == "lm_head" { return nil }
    return scheme.defaults
  }

  /// Whether a rule of its own speaks of the module.
  public func mentions(_ module: String) -> Bool {
    overrides.contains { $0.matches(module) }
  }
}

/// Which modules a rule of a config speaks of.
public enum ModulePattern: Sendable, Equatable {
  /// A regular expression that must match from the start of the module's name (GPTQ `dynamic`).
  case regex(String)
  /// A piece of the module's name (AWQ `modules_to_not_convert`).
  case contains(String)
  /// The module's whole name.
  case exactly(String)

  /// A test for names. A pattern that is no valid expression matches nothing; `validate` reports
  /// it when the config is read.
  func matcher() -> (String) -> Bool {
    switch self {
    case .exactly(let name): return { $0 == name }
    case .contains(let piece): return { $0.contains(piece) }
    case .regex(let pattern):
      guard let regex = try? Self.compile(pattern) else { return { _ in false } }
      return { (try? regex.prefixMatch(in: $0)) != nil }
    }
  }

  /// Throws `malformed` where a pattern is too long or no regular expression.
  public func validate(at place: String) throws {
    guard case .regex(let pattern) = self else { return }
    guard pattern.utf8.count <= Self.longestPattern else {
      throw Failure(
        .malformed, at: place, "a module pattern is too long",
        expected: "at most \(Self.longestPattern) bytes", found: "\(pattern.utf8.count)",
        rule: "GPTQ-23")
    }
    do {
      _ = try Self.compile(pattern)
    } catch {
      throw Failure(
        .malformed, at: place, "a module pattern is no regular expression", found: pattern,
        rule: "GPTQ-23")
    }
  }

  /// Longer patterns are refused: a config is hostile until shown otherwise.
  private static let longestPattern = 1024

  private static func compile(_ pattern: String) throws -> Regex<AnyRegexOutput> {
    try Regex(pattern).matchingSemantics(.unicodeScalar)
  }
}
