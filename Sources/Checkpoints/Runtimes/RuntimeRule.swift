import Codecs
import TensorCore

/// One rule of a runtime (`Formats/runtimes.md`): a table row with a question.
struct RuntimeRule: Sendable {
  /// What breaks a rule.
  struct Breach: Sendable {
    /// A layer; nil where the config or the model as a whole is meant.
    let layer: String?
    let found: String

    init(_ layer: String? = nil, _ found: String) {
      self.layer = layer
      self.found = found
    }
  }

  /// The number of the rule, such as `VLLM-5`.
  let id: String
  /// `error` where the runtime refuses the checkpoint or computes nonsense with it.
  let severity: Finding.Severity
  let what: String
  let expected: String
  let remedy: String?
  /// Whether the answer depends on the number of ranks.
  let dependsOnRanks: Bool
  let breaches: @Sendable (_ model: LoadedModel, _ ranks: Int) -> [Breach]

  /// The finding for all that breaks the rule on `ranks`; nil where nothing does.
  func finding(in model: LoadedModel, ranks: Int, runtime: String) -> Finding? {
    let breaches = breaches(model, ranks)
    guard !breaches.isEmpty else { return nil }
    let names = breaches.compactMap(\.layer)
    let place = dependsOnRanks ? "\(runtime) on \(ranks) ranks" : runtime
    let lines = Self.lines(breaches)
    let failure = Failure(
      .unsupported, at: place, what, expected: expected,
      found: lines.count == 1 ? lines[0] : "\(breaches.count) breaches", rule: id, remedy: remedy,
      details: lines.count == 1 ? [] : lines)
    return Finding(severity, failure, names: names)
  }

  /// One line for each kind of breach, with the first few layers of it.
  private static func lines(_ breaches: [Breach]) -> [String] {
    var order: [String] = []
    var names: [String: [String]] = [:]
    for breach in breaches {
      if names[breach.found] == nil { order.append(breach.found) }
      names[breach.found, default: []] += [breach.layer].compactMap(\.self)
    }
    return order.map { found in
      let layers = names[found] ?? []
      guard !layers.isEmpty else { return found }
      let more = layers.count > 3 ? " and \(layers.count - 3) more" : ""
      return "\(found) in \(layers.prefix(3).joined(separator: ", "))\(more)"
    }
  }
}

extension RuntimeRule {
  /// A rule that each layer of some layouts is asked about, once.
  static func layers(
    _ id: String, _ severity: Finding.Severity = .error, of layouts: Set<String>, _ what: String,
    expected: String, remedy: String? = nil,
    _ found: @escaping @Sendable (LoadedLayer, LoadedModel) -> String?
  ) -> RuntimeRule {
    RuntimeRule(
      id: id, severity: severity, what: what, expected: expected, remedy: remedy,
      dependsOnRanks: false
    ) { model, _ in
      model.layers.compactMap { layer in
        guard layouts.contains(layer.claim.layout) else { return nil }
        return found(layer, model).map { Breach(layer.name, $0) }
      }
    }
  }

  /// A rule that each layer of some layouts is asked about for each number of ranks.
  static func ranks(
    _ id: String, _ severity: Finding.Severity = .error, of layouts: Set<String>, _ what: String,
    expected: String, remedy: String? = nil,
    _ found: @escaping @Sendable (LoadedLayer, LoadedModel, Int) -> String?
  ) -> RuntimeRule {
    RuntimeRule(
      id: id, severity: severity, what: what, expected: expected, remedy: remedy,
      dependsOnRanks: true
    ) { model, ranks in
      model.layers.compactMap { layer in
        guard layouts.contains(layer.claim.layout) else { return nil }
        return found(layer, model, ranks).map { Breach(layer.name, $0) }
      }
    }
  }

  /// A rule that the model as a whole is asked about.
  static func model(
    _ id: String, _ what: String, expected: String, remedy: String? = nil,
    _ found: @escaping @Sendable (LoadedModel) -> String?
  ) -> RuntimeRule {
    RuntimeRule(
      id: id, severity: .error, what: what, expected: expected, remedy: remedy,
      dependsOnRanks: false
    ) { model, _ in
      found(model).map { [Breach($0)] } ?? []
    }
  }
}

extension RuntimeRule.Breach {
  init(_ found: String) { self.init(nil, found) }
}

/// Layouts that rules speak of together, by the names of their codecs.
enum Layouts {
  static let gptq: Set = ["gptq", "gptq_v2"]
  static let awqVariants: Set = ["awq_gemv", "awq_gemv_fast", "llm_awq"]
  static let integers: Set = ["gptq", "gptq_v2", "awq", "compressed-tensors"]
}
