import ArgumentParser
import Checkpoints

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure against the limits of this machine in the same run.", shouldDisplay: false)

  func run() throws {}
}
