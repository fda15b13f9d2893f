public import ArgumentParser
public import Checkpoints

extension Runtime: ExpressibleByArgument {
  public init?(argument: String) {
    guard let runtime = Runtime.named(argument) else { return nil }
    self = runtime
  }

  public static var allValueStrings: [String] { all.map(\.name) }
}
