public import ArgumentParser
public import Checkpoints

extension GPTQ.Version: ExpressibleByArgument {}

extension ZeroRule: ExpressibleByArgument {
  public init?(argument: String) {
    guard let rule = ZeroRule(rawValue: argument), ZeroRule.assumable.contains(rule) else {
      return nil
    }
    self = rule
  }

  public static var allValueStrings: [String] { assumable.map(\.rawValue) }
}
