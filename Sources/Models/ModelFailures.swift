internal import TensorCore

extension Failure {
  /// An architecture no family here stands for. `known` are their names.
  static func unknownArchitecture(_ name: String, at path: String, known: [String]) -> Failure {
    Failure(
      .unsupported, at: path, "the architecture is not known",
      expected: known.sorted().joined(separator: ", "), found: name)
  }
}
