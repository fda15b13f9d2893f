public import TensorCore

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
    /// What else the dialect says of the modules, in its own words; kept where the same layout is
    /// written again.
    public var dialect: JSONObject

    public init(
      bits: Int, groupSize: Int, symmetric: Bool, actOrder: Bool = false,
      dialect: JSONObject = JSONObject()
    ) {
      self.bits = bits
      self.groupSize = groupSize
      self.symmetric = symmetric
      self.actOrder = actOrder
      self.dialect = dialect
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
  /// How the codes were chosen, for `meta` of configs that have one.
  public var details: JSONObject

  public init(
    layout: String, defaults: Settings, overrides: [Override] = [], quantizesHead: Bool = false,
    writer: String? = nil, quantizer: String? = nil, details: JSONObject = JSONObject()
  ) {
    self.layout = layout
    self.defaults = defaults
    self.overrides = overrides
    self.quantizesHead = quantizesHead
    self.writer = writer
    self.quantizer = quantizer
    self.details = details
  }

  /// The rules of the config, ready to be asked about many modules.
  public func rules() -> SchemeRules { SchemeRules(self) }
}

/// A scheme, to be asked about modules.
public struct SchemeRules: Sendable {
  private let scheme: Scheme

  init(_ scheme: Scheme) {
    self.scheme = scheme
  }

  /// How a module is quantized; nil where it is to stay dense. The first rule that matches wins.
  public func settings(for module: String) -> Scheme.Settings? {
    for override in scheme.overrides where override.modules.matches(module) {
      return override.settings
    }
    if !scheme.quantizesHead && module.split(separator: ".").last == "lm_head" { return nil }
    return scheme.defaults
  }

  /// Whether a rule of its own speaks of the module.
  public func mentions(_ module: String) -> Bool {
    scheme.overrides.contains { $0.modules.matches(module) }
  }
}

/// Which modules a rule of a config speaks of.
public enum ModulePattern: Sendable, Equatable {
  /// A regular expression that must match from the start of the module's name (GPTQ `dynamic`).
  case regex(NamePattern)
  /// Some neighbouring parts of the module's name (AWQ `modules_to_not_convert`): `mlp.gate` speaks
  /// of `layers.0.mlp.gate`, not of `layers.0.mlp.gate_proj`.
  case contains(String)
  /// The module's whole name.
  case exactly(String)

  /// Whether the rule speaks of the module. O(pattern · name).
  func matches(_ module: String) -> Bool {
    switch self {
    case .exactly(let name): module == name
    case .contains(let piece):
      ".\(module).".contains(".\(piece.split(separator: ".").joined(separator: ".")).")
    case .regex(let pattern): pattern.matchesPrefix(of: module)
    }
  }
}
