/// A program that loads checkpoints, and what it accepts.
public struct Runtime: Sendable {
  /// The name users type after `--for`.
  public let name: String
  let rules: [RuntimeRule]

  public static let all: [Runtime] = [.vllm, .sglang, .transformers, .mlx, .llamaCPP]

  public static func named(_ name: String) -> Runtime? {
    all.first { $0.name == name }
  }

  /// The numbers of the runtime's rules, in order.
  public var ruleNumbers: [String] { rules.map(\.id) }
}
