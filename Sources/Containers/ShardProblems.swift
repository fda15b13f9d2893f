internal import TensorCore

/// What was wrong while opening: thrown at once, or gathered.
struct ShardProblems {
  let strict: Bool
  private(set) var list: [Failure] = []

  init(strict: Bool) {
    self.strict = strict
  }

  /// A broken rule: thrown where opening is strict.
  mutating func add(_ failure: Failure) throws {
    if strict { throw failure }
    list.append(failure)
  }

  /// A finding that leaves every tensor readable and certain: never thrown.
  mutating func note(_ failure: Failure) {
    list.append(failure)
  }
}
