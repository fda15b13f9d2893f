import ArgumentParser

@main
struct Nibble: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nibble", abstract: "x", version: "0.1.0")
}
